"""A run while it trains, as HTML: heartbeat, learning curve, and what its policy builds by the newest checkpoint."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

from redox_balancer.cell.conditions import HEALTHY, JOIN
from redox_balancer.design.named_construct import NamedConstruct
from redox_balancer.designer.play import play_episodes
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.errors import RedoxError
from redox_balancer.explore.state import ExploreState
from redox_balancer.report.figures import learning_curve
from redox_balancer.runs.checkpoint import steps
from redox_balancer.runs.heartbeat import read_heartbeat


class RunView:
    """Reads the folder of a run, in a thread of its own; what has not changed is not computed again."""

    def __init__(self, run: TrainedRun) -> None:
        self._run = run
        self._thread = ThreadPoolExecutor(1, "run")
        self._curve: tuple[int, str] = (0, "<p>nothing is logged yet</p>")
        self._built: tuple[Path | None, str] = (None, "<p>there is no checkpoint yet</p>")

    async def html(self) -> str:
        """What is known of the run now; one line where its files cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._html)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _html(self) -> str:
        try:
            rows, newest = self._run.metrics(), next(iter(steps(self._run.folder).values()), None)
            if len(rows) != self._curve[0]:
                self._curve = len(rows), learning_curve(rows, None, None).svg()
            if newest != self._built[0]:
                self._built = newest, "".join(self._constructs())
        except (RedoxError, ValueError, OSError) as error:
            return f"<p class=warning>{escape(str(error))}</p>"
        return f"<table id=run>{''.join(self._heartbeat(rows))}</table>{self._curve[1]}{self._built[1]}"

    def _heartbeat(self, rows: Sequence[Mapping[str, float]]) -> Iterator[str]:
        beat, now = read_heartbeat(self._run.folder), time.time()
        if beat is None:
            yield "<tr><td>no heartbeat"
            return
        gone = "" if beat.ended or beat.at_work(now) else ", and silent: was it killed?"
        yield _row("status", f"{beat.status}{gone} {beat.message} {beat.alarm}", beat.status)
        yield _row("step", f"{beat.step:,} of {beat.timesteps:,} steps", beat.step)
        yield _row("speed", f"{beat.steps_per_s:,.0f} steps/s", beat.steps_per_s)
        yield _row("actors", "none, in one process" if beat.actors_alive is None else beat.actors_alive)
        if rows:
            yield _row("mean return", f"{rows[-1]['return_mean']:.4f}", rows[-1]["return_mean"])
        if beat.checkpoint_at is not None:
            yield _row("checkpoint", f"step {beat.checkpoint_step:,}, {now - beat.checkpoint_at:,.0f} s old")

    def _constructs(self) -> Iterator[str]:
        """A row for each condition, the most valuable first, with a link that opens the construct on the page."""
        environments, policy = self._run.environments(), self._run.policy()
        playing = environments.named(1)
        space, lines = environments.space, {line.id for line in environments.space.references}
        found = [(play_episodes(playing, one.id, policy, 1, None)[0], one.id) for one in space.conditions]
        head = "".join(f"<th scope=col>{text}" for text in ("condition", "most probable construct", "value"))
        yield f"<table id=constructs><tr>{head}"
        for best, condition in sorted(found, key=lambda pair: -pair[0].value):
            named = NamedConstruct.of(space, best.construct)
            line, _, rest = condition.partition(JOIN) if condition.split(JOIN)[0] in lines else ("", "", condition)
            link = ExploreState(cell=line, condition=rest or HEALTHY, enzymes=dict(named)).query()
            yield f'<tr><td>{escape(condition)}<td><a href="/?{escape(link)}">{named}</a>'
            yield f'<td data-value="{best.value!r}">{best.value:.4f}'
        yield "</table>"


def _row(label: str, text: object, value: object = "") -> str:
    return f'<tr><th scope=row>{label}<td data-name="{label}" data-value="{value}">{escape(str(text).strip())}'
