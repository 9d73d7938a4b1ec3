"""Trainings in cells: real Ray, real signals."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cell_faults import Faults, Over, StuckOnce, TracedCollector, actor_gets, cell_gets, traced
from faulty_envs import FaultyShelves
from ray_nodes import node, ray_nodes
from redox_balancer.impala.cell_pool import UNREPORTED
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint
from redox_balancer.runs.run import TrainResult
from redox_balancer.runs.trainer import train
from runs_on_disk import heartbeat_of, rows_of
from sinks import Recorder
from toy_envs import BEST_RETURN, Shelves

CONFIG = TrainConfig(
    timesteps=100_000_000, num_actors=2, learner_cells=2, batch_size=256, log_interval_s=0.5, actor_timeout_s=15.0
)


class Broken:
    """A training with an actor killed, a cell killed, and the other one made to hang."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with traced() as self.trace:
            faults = [
                actor_gets(signal.SIGKILL, self.trace),
                cell_gets(signal.SIGKILL, self.trace, 1),
                cell_gets(signal.SIGSTOP, self.trace, 1),
            ]
            self.sink = Faults(self.trace, CONFIG.num_actors, faults)
            self.result: TrainResult = train(
                CONFIG, Shelves(), folder, resume=None, progress=self.sink, collector=TracedCollector
            )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Broken:
    return Broken(tmp_path_factory.mktemp("broken"))


def test_training_goes_on_when_an_actor_or_a_learner_is_lost(broken: Broken) -> None:
    assert not broken.sink.left, broken.sink.messages
    replaced = [line for line in broken.sink.messages if "takes over" in line]
    assert "actor" in replaced[0]
    assert any("cell" in line and "died" in line for line in replaced), replaced
    assert any("does not answer" in line for line in replaced), replaced
    last = rows_of(broken.folder)[-1]
    assert last["cells_lost"] >= 2
    assert last["rollouts_refused"] == 0
    saved = checkpoint.find(broken.folder).checkpoint
    assert saved.step == broken.result.steps
    assert all(saved.state["incarnations"][str(actor)] >= newest for actor, newest in broken.trace.newest.items())


def test_no_rollout_is_used_twice(broken: Broken) -> None:
    assert broken.trace.episodes
    assert broken.trace.doubled == 0


def test_learners_have_the_same_state_at_each_version(broken: Broken) -> None:
    assert broken.trace.compared > len(broken.sink.faults)
    assert all(len(states) == 1 for states in broken.trace.states.values())


def test_rows_have_ascending_steps(broken: Broken) -> None:
    steps = [row["steps"] for row in rows_of(broken.folder)]
    assert steps == sorted(set(steps))


def test_two_cells_train_to_the_end(tmp_path: Path) -> None:
    config, sink = CONFIG.changed(timesteps=60_000, actor_timeout_s=60.0), Recorder()
    with traced() as trace:
        result = train(config, Shelves(), tmp_path, resume=None, progress=sink, collector=TracedCollector)
    assert result.finished
    assert result.last_row["return_mean"] > 0.95 * BEST_RETURN
    assert result.last_row["cells"] == 2
    assert trace.newest == {0: 0, 1: 0}
    assert trace.doubled == 0
    assert trace.told[result.updates] == {0, 1}
    assert all(len(states) == 1 for states in trace.states.values())
    # Whole rollouts: at most one update of both beyond the end.
    assert 60_000 <= result.steps < 60_000 + 2 * 256
    assert checkpoint.find(tmp_path).checkpoint.step == result.steps == rows_of(tmp_path)[-1]["steps"]


def test_an_error_in_a_cell_ends_the_training_after_the_last_update_was_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the shelf is empty"):
        train(CONFIG, FaultyShelves("raise", 400), tmp_path, resume=None, progress=Recorder())
    saved = checkpoint.find(tmp_path).checkpoint
    assert saved.step == saved.state["steps"] >= 512
    beat = heartbeat_of(tmp_path)
    assert (beat.status, beat.checkpoint_step) == ("failed", saved.step)
    assert "the shelf is empty" in beat.message


def test_a_cell_whose_learner_hangs_is_replaced(tmp_path: Path) -> None:
    factory = StuckOnce(marker=str(tmp_path / "stuck"))
    with traced() as trace:
        sink = Faults(trace, CONFIG.num_actors, [])
        train(CONFIG, factory, tmp_path / "run", resume=None, progress=sink, collector=TracedCollector)
    (replaced,) = [line for line in sink.messages if "takes over" in line]
    assert "does not answer" in replaced
    assert sorted(trace.newest.values()) == [0, UNREPORTED]
    assert trace.doubled == 0


PROGRAM = """
import sys
from pathlib import Path
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.trainer import train
from sinks import Recorder
from toy_envs import Shelves

config = TrainConfig(
    timesteps=int(sys.argv[2]), num_actors=2, learner_cells=2, batch_size=256, save_interval_steps=2000
)
sink = Recorder(10_000, lambda: print("learned", flush=True))
train(config, Shelves(), Path(sys.argv[1]), resume="auto", progress=sink)
"""


def program(folder: Path, timesteps: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, folder, str(timesteps)], stdout=subprocess.PIPE, text=True
    )


def test_a_training_of_which_everything_was_killed_resumes(tmp_path: Path) -> None:
    with program(tmp_path, 100_000_000) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "learned\n"
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.kill()
    before = checkpoint.find(tmp_path).checkpoint
    assert before.step >= 2000
    with program(tmp_path, before.step + 5000) as process:
        process.communicate()
    assert process.returncode == 0
    after = checkpoint.find(tmp_path).checkpoint
    assert after.step >= before.step + 5000
    assert after.state["updates"] > before.state["updates"]
    assert all(after.state["incarnations"][actor] > number for actor, number in before.state["incarnations"].items())
    steps = [row["steps"] for row in rows_of(tmp_path)]
    assert steps == sorted(set(steps))


def test_the_cells_of_other_nodes_go_on_when_a_node_is_lost_and_one_that_joins_gets_its_cell(
    tmp_path: Path,
) -> None:
    with ray_nodes(1) as nodes, traced() as trace:
        _, other = nodes.add_node(**node(1)), nodes.add_node(**node(1))
        nodes.wait_for_nodes()
        config = CONFIG.changed(num_actors=3, learner_cells=3, ray_address=nodes.address, actor_timeout_s=60.0)

        def lose_a_node() -> Over:
            nodes.remove_node(other, allow_graceful=False)
            before = len(trace.episodes)
            return lambda _: len(trace.episodes) > before + 2000

        def add_a_node() -> Over:
            before = trace.newest
            nodes.add_node(**node(1))
            return lambda newest: any(newest[actor] >= before[actor] + UNREPORTED for actor in newest)

        sink = Faults(trace, config.num_actors, [lose_a_node, add_a_node])
        train(config, Shelves(), tmp_path, resume=None, progress=sink, collector=TracedCollector)
    assert not sink.left, sink.messages
    assert trace.doubled == 0
    assert all(len(states) == 1 for states in trace.states.values())
