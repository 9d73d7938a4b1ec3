"""The parts of a page beside its numbers: quick ones in the thread of the cells, others in a process of their own."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from time import monotonic

from redox_balancer.explore.analysis import CellAnalysis, Order
from redox_balancer.explore.desk import Desk
from redox_balancer.explore.jobs import PageJob
from redox_balancer.explore.numbers import ExploredCell
from redox_balancer.explore.state import ExploreState
from redox_balancer.explore.views import RATIOS, VIEWS, View, analysed

SECONDS_PER_REACTION = 0.0015
"""First guess of what the ratios of a cell take, s; measured on Recon3D's core."""
Tell = Callable[[float, float], None]
"""Receives the share of the ratios that is done, and the seconds that the rest will take."""


class Answers:
    """Answers one state of a page; what is known of it is not computed again."""

    def __init__(self, desk: Desk, state: ExploreState, tell: Tell) -> None:
        self._desk, self._state, self._tell = desk, state, tell
        self._job: PageJob | None = None
        self.cancelled = False

    async def parts(self) -> AsyncGenerator[tuple[str, str], None]:
        """Every part with its HTML as soon as it is known; a RedoxError where one cannot be computed."""
        state, known = self._state, self._desk.known(self._state)
        order = await self._desk.ask(state, lambda cell: cell.order(state))
        analysis, apart = CellAnalysis(order), list[str]()
        for part, view in VIEWS.items():
            if part not in known and (order.is_large or part == RATIOS):
                apart.append(part)
                continue
            if self.cancelled:
                return
            if part not in known:
                known[part] = await self._desk.ask(state, partial(_viewed, view, analysis))
            yield part, known[part]
        if apart and not self.cancelled:
            self._job = PageJob(analysed, order, apart)
            clock = RatioClock(self._desk, state, order, self._tell)
            async with aclosing(self._job.results(clock.progress)) as results:
                async for part, text in results:
                    known[part] = text
                    if part == RATIOS:
                        clock.stop()
                    yield part, text

    def cancel(self) -> None:
        """End what is being computed in a process; no part follows."""
        self.cancelled = True
        if self._job is not None:
            self._job.cancel()


class RatioClock:
    """The seconds that the ratios of a state still take: by what the last ones of its cell took, and by progress.

    `now` is the clock, s.
    """

    def __init__(
        self, desk: Desk, state: ExploreState, order: Order, tell: Tell, now: Callable[[], float] = monotonic
    ) -> None:
        self._seconds, self._key, self._tell = desk.ratio_seconds, (state.model_name, state.cell), tell
        self._cells = 2 if order.construct else 1
        self._first_guess = SECONDS_PER_REACTION * len(order.space.network.reactions)
        self._now, self._started = now, now()

    def progress(self, _phase: str, done: int = 0, total: int | None = None, /) -> None:
        """Tell how far the ratios are."""
        if not done:
            self._started = self._now()
        taken, share = self._now() - self._started, done / total if total else 0.0
        expected = taken / share if share else self._cells * self._seconds.get(self._key, self._first_guess)
        self._tell(share, max(0.0, expected - taken))

    def stop(self) -> None:
        """Remember how long the ratios of the cell took."""
        self._seconds[self._key] = (self._now() - self._started) / self._cells


def _viewed(view: View, analysis: CellAnalysis, _: ExploredCell) -> str:
    return view(analysis)
