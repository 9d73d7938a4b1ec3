"""What takes seconds, in a process of its own: the search for a construct, and the export; both can be cancelled."""

import asyncio
import io
import multiprocessing
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.named_construct import NamedConstruct
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.proposal import Proposal, answer
from redox_balancer.errors import RedoxError
from redox_balancer.files import temporary_folder
from redox_balancer.progress import Progress


@dataclass(frozen=True)
class Order:
    """The cell and the construct that a job is about."""

    task: Task
    space: DesignSpace
    condition: Condition
    construct: Construct


def searched(order: Order, seconds: float, progress: Progress) -> tuple[dict[str, float], float, str]:
    """The best construct that the design engine finds in some seconds, its value, and its proof."""
    space = replace(order.space, conditions=(order.condition,))
    environments = RedoxEnvs(space, placements=order.task.placements)
    found = answer(environments, None, order.condition.id, seconds=seconds, progress=progress)
    return dict(NamedConstruct.of(space, found.construct)), found.task_value, found.proof


def exported(order: Order, progress: Progress) -> bytes:
    """The files of a design, as `rb.export` writes them, in a ZIP archive."""
    from redox_balancer.designer.design import make_design  # noqa: PLC0415 - loads COBRApy
    from redox_balancer.designer.export import export  # noqa: PLC0415
    from redox_balancer.designer.model import open_model  # noqa: PLC0415

    with Evaluator(order.space.plain) as plain, Evaluator(order.space) as own:
        value = own.evaluate(order.construct, order.condition).value
        proposal = Proposal.valued(plain, order.construct, order.condition, task_value=value)
    made, cell = make_design(open_model(order.task), proposal, progress=progress)
    packed = io.BytesIO()
    with temporary_folder() as folder, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in export(cell, made, folder, progress=progress):
            archive.write(folder / name, f"explored/{name}")
    return packed.getvalue()


class PageJob:
    """A process that does one of these; `work` receives the arguments and a progress."""

    def __init__(self, work: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_do, args=(theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()
        self.cancelled = False

    async def result(self, progress: Progress) -> Any:
        """Wait for the answer; None where the job was cancelled, and a RedoxError where it failed."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                kind, content = await loop.run_in_executor(None, self._end.recv)
                if kind == "done":
                    return content
                if kind == "failed":
                    raise RedoxError(content[0], hint=content[1])
                progress(*content)
        except EOFError:
            if self.cancelled:
                return None
            raise RedoxError("the work ended before its answer", hint="did memory run out?") from None
        finally:
            self._process.join()
            self._process.close()
            self._end.close()

    def cancel(self) -> None:
        """End the process; its answer is None."""
        self.cancelled = True
        with suppress(ValueError):  # it has ended
            self._process.terminate()


def _do(end: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    def progress(phase: str, done: int = 0, total: int | None = None, /) -> None:
        if (news := (phase, done, total)) != last[-1]:
            last[-1] = news
            end.send(("progress", news))

    last: list[Any] = [None]
    with suppress(BrokenPipeError):  # nobody waits any more
        try:
            end.send(("done", work(*arguments, progress)))
        except Exception as error:  # noqa: BLE001 - the other process tells it
            hint = error.hint if isinstance(error, RedoxError) else "please report it with the link of this page"
            end.send(("failed", (str(error) or type(error).__name__, hint)))
