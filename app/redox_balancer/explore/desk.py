"""The cells that the pages ask, one for each cell line, in the one thread in which their linear programs live."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from redox_balancer.cell.cell_lines import load_cell_lines
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


class Desk:
    """Answers questions about the cells of a task, one after the other.

    Parameters
    ----------
    task
        Model, medium, library, conditions and budgets. Its cell lines are those to choose from; without any, the cell
        on its medium and all lines of the file are.
    command
        Text of the command that does the same as a state.
    run
        A run that is shown beside it.

    Attributes
    ----------
    ratio_seconds
        What the last ratios of a cell of each line took, s.
    """

    def __init__(self, task: Task, command: Callable[[ExploreState], str], run: RunView | None = None) -> None:
        self.task, self.command, self.run = task, command, run
        self.lines = [*task.cells] if task.cells else ["", *load_cell_lines(task.cells_file)]
        self.ratio_seconds: dict[str, float] = {}
        self._cells: dict[str, ExploredCell] = {}
        self._answers: dict[str, dict[str, str]] = {}
        self._thread = ThreadPoolExecutor(1, "explore")

    def open(self) -> ExploredCell:
        """Read the model, and return the first cell."""
        return self._thread.submit(self._cell, self.lines[0]).result()

    async def ask(self, line: str, question: Callable[[ExploredCell], Answer]) -> Answer:
        """Ask the cell of a line; a RedoxError also for what nobody foresaw, whose traceback goes to the log."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: question(self._cell(line)))
        except RedoxError:
            raise
        except Exception as error:
            logging.getLogger("redox").exception("a question to the cell failed")
            text = f"this cannot be computed: {type(error).__name__}: {error}"
            raise RedoxError(text, hint="undo the last step; please report it with the link of this page") from error

    def known(self, state: ExploreState) -> dict[str, str]:
        """Parts of the page that are known of a state, to be added to; those of the latest `REMEMBERED` are kept."""
        key = state.changed(model="").query()
        self._answers[key] = known = self._answers.pop(key, {})
        while len(self._answers) > REMEMBERED:
            self._answers.pop(next(iter(self._answers)))
        return known

    def close(self) -> None:
        """End the thread, after the question at hand."""
        for cell in self._cells.values():
            self._thread.submit(cell.close)
        self._thread.shutdown()
        if self.run is not None:
            self.run.close()

    def _cell(self, line: str) -> ExploredCell:
        if line not in self.lines:
            hint = f"known: {', '.join(name for name in self.lines if name)}"
            raise RedoxError(f"no cell line {line!r} can be chosen here", hint=hint)
        cell = self._cells.pop(line, None)
        if cell is None:
            cell = ExploredCell(self.task.changed(cells=(line,) if line else None))
            while len(self._cells) >= CELLS:
                self._cells.pop(next(iter(self._cells))).close()
        self._cells[line] = cell  # the newest last
        return cell
