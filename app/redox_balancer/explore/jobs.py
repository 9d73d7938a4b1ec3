"""What takes seconds, in a process of its own that can be ended: the search for a construct, the export, analyses."""

import asyncio
import io
import multiprocessing
import signal
import sys
import zipfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.named_construct import NamedConstruct
from redox_balancer.designer.design import make_design
from redox_balancer.designer.proposal import Proposal, answer
from redox_balancer.errors import RedoxError
from redox_balancer.explore.analysis import Order
from redox_balancer.files import temporary_folder
from redox_balancer.progress import Progress

_PAGE = frozenset(f"redox_balancer.explore.{name}" for name in ("elements", "page", "server"))
"""What imports NiceGUI."""


def searched(order: Order, seconds: float, progress: Progress) -> tuple[dict[str, float], float, str]:
    """The best construct that the design engine finds in some seconds, its value, and its proof."""
    space = replace(order.space, conditions=(order.condition,))
    environments = RedoxEnvs(space, placements=order.task.placements)
    found = answer(environments, None, order.condition.id, seconds=seconds, progress=progress)
    return dict(NamedConstruct.of(space, found.construct)), found.task_value, found.proof


def exported(order: Order, progress: Progress) -> bytes:
    """The files of a design, as `rb.export` writes them, in a ZIP archive."""
    from redox_balancer.designer.export import export  # noqa: PLC0415 - loads COBRApy
    from redox_balancer.designer.model import checked_cell  # noqa: PLC0415

    with Evaluator(order.space.plain) as plain, Evaluator(order.space) as own:
        value = own.evaluate(order.construct, order.condition).value
        proposal = Proposal.valued(plain, order.construct, order.condition, task_value=value)
    made = make_design(proposal, progress=progress)
    cell, _ = checked_cell(order.task, made)
    packed = io.BytesIO()
    with temporary_folder() as folder, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in export(cell, made, folder, progress=progress):
            archive.write(folder / name, f"explored/{name}")
    return packed.getvalue()


class PageJob:
    """A process that does one of these; `work` receives the arguments and a progress.

    It is forked from a process that has loaded what it needs, so that it starts in hundredths of a second.
    """

    def __init__(self, work: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("forkserver")
        # What is loaded here, the command line with it, which every process imports as the main module.
        loaded = [name for name in sys.modules if name.startswith("redox_balancer.") and name not in _PAGE]
        context.set_forkserver_preload(loaded)
        self._end, self._theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_do, args=(self._theirs, work, arguments), daemon=True)
        self.cancelled = False

    async def results(self, progress: Progress) -> AsyncGenerator[Any, None]:
        """Every answer as soon as it is there, of work that iterates over several; a RedoxError where it failed.

        There are no more once the job is cancelled.
        """
        apart = partial(asyncio.get_running_loop().run_in_executor, None)
        await apart(self._process.start)
        self._theirs.close()
        if self.cancelled:
            self._process.terminate()
        try:
            while True:
                kind, content = await apart(self._end.recv)
                if kind == "done":
                    return
                if kind == "failed":
                    raise RedoxError(content[0], hint=content[1])
                if kind == "found":
                    yield content
                else:
                    progress(*content)
        except EOFError:
            if not self.cancelled:
                raise RedoxError("the work ended before its answer", hint="did memory run out?") from None
        finally:
            self.cancel()
            self._end.close()
            apart(self._process.join)  # nobody need wait for that

    async def result(self, progress: Progress) -> Any:
        """The only answer; None where the job was cancelled."""
        return next(iter([found async for found in self.results(progress)]), None)

    def cancel(self) -> None:
        """End the process, if it has not ended."""
        self.cancelled = True
        if self._process.pid is not None:
            self._process.terminate()


def _do(end: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, which ends this

    def progress(phase: str, done: int = 0, total: int | None = None, /) -> None:
        if (news := (phase, done, total)) != last[-1]:
            last[-1] = news
            end.send(("progress", news))

    last: list[Any] = [None]
    with suppress(BrokenPipeError):  # nobody waits any more
        try:
            found = work(*arguments, progress)
            for each in found if isinstance(found, Iterator) else (found,):
                end.send(("found", each))
            end.send(("done", None))
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - the other process tells it
            hint = error.hint if isinstance(error, RedoxError) else "please report it with the link of this page"
            end.send(("failed", (str(error) or type(error).__name__, hint)))
