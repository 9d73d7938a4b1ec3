"""The cells that the pages ask, one for each model and line, in the thread in which their linear programs live."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from redox_balancer.cell.cell_lines import load_cell_lines
from redox_balancer.cell.embedded import CORE_ID
from redox_balancer.cell.model_file import FORMATS, suffixes_of
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.explore.numbers import REMEMBERED, ExploredCell
from redox_balancer.explore.run_view import RunView
from redox_balancer.explore.state import ExploreState

CONDITIONS_FILE = "explored.toml"
"""Name of the file of conditions of a state with moved bounds."""
CELLS = 4
"""Cells kept ready: one takes 0.1 s on the embedded core, and up to a minute on a genome-scale one."""

Answer = TypeVar("Answer")
Chosen = Mapping[str, Any]
"""Settings of a task that choose a model."""


class Desk:
    """Answers questions about the cells of a task, one after the other.

    Parameters
    ----------
    task
        Model, medium, library, conditions and budgets. Its cell lines are those to choose from; without any, the cell
        on its medium and all lines of the file are.
    command
        Text of the command that does the same as a state, from the state and the settings that choose its model.
    models
        Settings that choose each model, by its name on the page, as of `models_beside`.
    run
        A run that is shown beside it.

    Attributes
    ----------
    ratio_seconds
        What the last ratios of a cell of each model and line took, s.
    """

    def __init__(
        self,
        task: Task,
        command: Callable[[ExploreState, Chosen], str],
        models: Mapping[str, Chosen],
        run: RunView | None = None,
    ) -> None:
        self.task, self.models, self.run = task, models, run
        self._command = command
        self.lines = [*task.cells] if task.cells else ["", *load_cell_lines(task.cells_file)]
        self.ratio_seconds: dict[tuple[str, str], float] = {}
        self._cells: dict[tuple[str, str], ExploredCell] = {}
        self._answers: dict[str, dict[str, str]] = {}
        self._thread = ThreadPoolExecutor(1, "explore")

    def open(self) -> ExploredCell:
        """Read the model, and return the first cell."""
        return self._thread.submit(self._cell, ExploreState(cell=self.lines[0])).result()

    async def ask(self, state: ExploreState, question: Callable[[ExploredCell], Answer]) -> Answer:
        """Ask the cell of a state; a RedoxError also for what nobody foresaw, whose traceback goes to the log."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: question(self._cell(state)))
        except RedoxError:
            raise
        except Exception as error:
            logging.getLogger("redox").exception("a question to the cell failed")
            text = f"this cannot be computed: {type(error).__name__}: {error}"
            raise RedoxError(text, hint="undo the last step; please report it with the link of this page") from error

    @property
    def own_model(self) -> str:
        """Name of the task's own model."""
        return Path(self.task.model).name if isinstance(self.task.model, str | Path) else CORE_ID

    def known(self, state: ExploreState) -> dict[str, str]:
        """Parts of the page that are known of a state, to be added to; those of the latest `REMEMBERED` are kept."""
        key = state.changed(model="").query()
        self._answers[key] = known = self._answers.pop(key, {})
        while len(self._answers) > REMEMBERED:
            self._answers.pop(next(iter(self._answers)))
        return known

    def command(self, state: ExploreState) -> str:
        """The command that does the same as a state."""
        return self._command(state, self.models[state.model_name])

    def close(self) -> None:
        """End the thread, after the question at hand."""
        for cell in self._cells.values():
            self._thread.submit(cell.close)
        self._thread.shutdown()
        if self.run is not None:
            self.run.close()

    def _cell(self, state: ExploreState) -> ExploredCell:
        key = state.model_name, state.cell
        for name, known, kind in zip(key, (self.models, self.lines), ("model", "cell line"), strict=True):
            if name not in known:
                hint = f"known: {', '.join(one for one in known if one)}"
                raise RedoxError(f"no {kind} {name!r} can be chosen here", hint=hint)
        cell = self._cells.pop(key, None)
        if cell is None:
            chosen = self.models[state.model_name]
            cell = ExploredCell(self.task.changed(**chosen, cells=(state.cell,) if state.cell else None))
            while len(self._cells) >= CELLS:
                self._cells.pop(next(iter(self._cells))).close()
        self._cells[key] = cell  # the newest last
        return cell


def models_beside(task: Task, folder: Path) -> dict[str, Chosen]:
    """The models to choose from, by name: that of a task, without one, the embedded core, and files.

    These are the model files of a folder and of that of the task's own; they are not read before they are chosen.
    """
    own = Path(task.model).resolve() if isinstance(task.model, str | Path) else None
    rest = {"biomass": None, "curation": None}  # which belong to the task's own model
    found: dict[str, Chosen] = {"": {}} | ({CORE_ID: {"model": None, **rest}} if own else {})
    for place in dict.fromkeys([*([own.parent] if own else []), folder.resolve()]):
        with suppress(OSError):
            for path in sorted(place.iterdir()):
                if suffixes_of(path)[0].lower() in FORMATS and path.is_file() and path != own:
                    found.setdefault(path.name, {"model": str(path), **rest})
    return found
