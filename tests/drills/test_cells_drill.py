"""Cells on three nodes: an actor, a learner and a node are killed in turns, one a minute, and then everything."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import psutil
import pytest
from ray.cluster_utils import Cluster

from cell_faults import Fault, Over, Trace, TracedCollector, actor_gets, cell_gets, traced
from ray_nodes import node, ray_nodes
from redox_balancer.design.task import Task
from redox_balancer.impala.cell_pool import UNREPORTED
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint
from redox_balancer.runs.trainer import train
from runs_on_disk import rows_of
from sinks import Recorder

# REDOX_DRILL_MINUTES and REDOX_DRILL_MINUTE_S shorten it; after every third fault follows a minute without one.
MINUTES = int(os.environ.get("REDOX_DRILL_MINUTES", "9"))
MINUTE_S = float(os.environ.get("REDOX_DRILL_MINUTE_S", "60"))
NODES = 3
CONFIG = TrainConfig(timesteps=100_000_000, num_actors=NODES, learner_cells=NODES, save_interval_s=10.0)
TASK = Task(observation="flat")


@dataclass
class Minute:
    """What was trained in a minute, and what its fault cost.

    `recovered_s` is the time from the fault until the processes that replace those it killed have learned, and
    `still_s` the longest time without an update.
    """

    fault: str  # empty where there was none
    steps: int = 0
    seconds: float = 0.0
    recovered_s: float = 0.0
    still_s: float = 0.0

    @property
    def steps_per_s(self) -> float:
        return self.steps / self.seconds


class Report(NamedTuple):
    """What the process of a training tells before it is killed."""

    minutes: Sequence[Minute]
    doubled: int
    versions: int  # whose states were compared
    different: Sequence[int]  # versions of which cells had different states
    incarnations: dict[int, int]


class Minutes(Recorder):
    """Lets a fault happen at the beginning of each minute, and reports at the end of the last one."""

    def __init__(self, trace: Trace, plan: Sequence[tuple[str, Fault | None]], pipe: Connection) -> None:
        super().__init__()
        self._trace, self._plan, self._pipe = trace, list(plan), pipe
        self._minutes = list[Minute]()
        self._over: Over | None = lambda newest: len(newest) == NODES
        self._since = self._last = time.monotonic()
        self._first_step = 0

    def message(self, text: str) -> None:
        print(f"{time.monotonic() - self._since:5.1f} s: {text}", flush=True)  # noqa: T201 - a drill prints

    def advance(self, steps: int) -> None:
        now = time.monotonic()
        recovered = self._over is not None and self._over(self._trace.newest)
        if recovered:
            self._over = None
        if self._minutes:
            minute = self._minutes[-1]
            minute.still_s = max(minute.still_s, now - self._last)
            minute.steps, minute.seconds = steps - self._first_step, now - self._since
            if recovered:
                minute.recovered_s = minute.seconds
        self._last = now
        if self._over is None and (not self._minutes or now - self._since >= MINUTE_S):
            self._next(steps)

    def _next(self, steps: int) -> None:
        if not self._plan:
            if self._minutes:
                different = [version for version, states in self._trace.states.items() if len(states) > 1]
                found = self._trace.doubled, self._trace.compared, different, self._trace.newest
                self._pipe.send(Report(self._minutes, *found))
                self._minutes = []
            return
        self._since, self._first_step = self._last, steps
        name, fault = self._plan.pop(0)
        self._minutes.append(Minute(name))
        print(f"{name} killed" if name else "undisturbed", flush=True)  # noqa: T201
        if fault is not None:
            self._over = fault()


def node_is_lost(nodes: Cluster, trace: Trace) -> Fault:
    """A node is killed, and another one joins."""

    def join() -> None:
        with mock.patch.object(nodes, "_shutdown_at_exit", new=False):  # signals are the main thread's
            nodes.add_node(**node(1))

    def happen() -> Over:
        before = trace.newest
        nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)
        threading.Thread(target=join).start()
        return lambda newest: any(newest[actor] >= before[actor] + UNREPORTED for actor in newest)

    return happen


def _train(folder: Path, pipe: Connection) -> None:
    """Train on three nodes until killed."""
    with ray_nodes(1) as nodes, traced() as trace:
        for _ in range(NODES - 1):
            nodes.add_node(**node(1))
        nodes.wait_for_nodes()
        turns = {
            "actor": actor_gets(signal.SIGKILL, trace),
            "learner": cell_gets(signal.SIGKILL, trace, 1),
            "node": node_is_lost(nodes, trace),
        }
        plan: list[tuple[str, Fault | None]] = []
        for number, turn in enumerate(islice(cycle(turns.items()), MINUTES)):
            plan += [("", None), turn] if number % len(turns) == 0 else [turn]
        sink = Minutes(trace, [*plan, ("", None)], pipe)
        config = CONFIG.changed(ray_address=nodes.address)
        train(config, TASK.environments(), folder, resume=None, progress=sink, collector=TracedCollector)


def speed(minutes: Sequence[Minute]) -> float:
    """Steps/s in some minutes together."""
    return sum(minute.steps for minute in minutes) / sum(minute.seconds for minute in minutes)


@pytest.mark.timeout(3600)
def test_cells_survive_the_loss_of_actors_learners_nodes_and_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    training = spawn.Process(target=_train, args=(tmp_path, theirs))
    training.start()
    theirs.close()
    try:
        report: Report = ours.recv()
    finally:
        for each in [*psutil.Process(training.pid).children(recursive=True), training]:
            each.kill()
        training.join()
    killed_at = time.monotonic()
    before = checkpoint.find(tmp_path).checkpoint
    resumed = CONFIG.changed(timesteps=before.step + 20_000)
    with traced() as trace:
        after = train(
            resumed, TASK.environments(), tmp_path, resume="auto", progress=Recorder(), collector=TracedCollector
        )
    undisturbed = [minute for minute in report.minutes if not minute.fault]
    faulty = [minute for minute in report.minutes if minute.fault]
    share = speed(faulty) / speed(undisturbed)
    with capsys.disabled():
        for minute in report.minutes:
            lost = f"{minute.fault:>7} killed, learns again after {minute.recovered_s:4.1f} s" if minute.fault else ""
            print(  # noqa: T201 - a drill prints its measurements
                f"{minute.seconds:5.1f} s {minute.steps_per_s:6.0f} steps/s, "
                f"at most {minute.still_s:4.1f} s without an update {lost}"
            )
        print(  # noqa: T201
            f"{NODES} cells on {NODES} nodes, {len(faulty)} faults: {speed(faulty):.0f} steps/s, {100 * share:.0f} % "
            f"of {speed(undisturbed):.0f} undisturbed; {report.doubled} episodes used twice; "
            f"{report.versions} states compared, {len(report.different)} different; everything killed: "
            f"at step {after.steps:,} from {before.step:,} after {time.monotonic() - killed_at:.1f} s"
        )
    assert len(faulty) == MINUTES
    assert report.doubled == trace.doubled == 0
    assert report.versions > MINUTES
    assert report.different == []
    assert max(minute.recovered_s for minute in faulty) <= 60.0
    assert after.steps >= resumed.timesteps
    assert trace.newest
    assert all(number > before.state["incarnations"][str(actor)] for actor, number in trace.newest.items())
    steps = [row["steps"] for row in rows_of(tmp_path)]
    assert steps == sorted(set(steps))
    assert share >= 0.8
