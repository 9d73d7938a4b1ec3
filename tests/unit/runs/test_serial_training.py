"""Serial training of toys: reproducible, interruptible, and refused where it would fail."""

import math
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import load_policy
from redox_balancer.runs.watchdog import NonsenseError
from runs_on_disk import SERIAL, Killed, heartbeat_of, kill, reproducible
from sinks import Recorder
from toy_envs import Fading
from trainings import trained


def test_n_steps_a_kill_and_the_rest_equal_the_uninterrupted_run_bit_for_bit(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trained(whole)
    # Killed between two checkpoints: the steps after the last one are lost and repeated.
    for step in (1100, 600):
        with pytest.raises(Killed):
            trained(broken, sink=Recorder(step, kill))
    result, sink = trained(broken)
    assert sink.started == (896, 1600)
    assert reproducible(broken) == reproducible(whole)
    assert result.steps == 1664
    assert len(reproducible(whole)["rows"]) > 5


def test_the_same_settings_give_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        trained(tmp_path / name, SERIAL.changed(seed=seed))
    a, b, c = (reproducible(tmp_path / name) for name in "abc")
    assert a == b
    assert a["arrays"] != c["arrays"]


def test_a_clock_that_is_set_back_changes_times_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path / "usual")
    clock = time.time
    sink = Recorder(600, lambda: monkeypatch.setattr(time, "time", lambda: clock() - 7200.0))
    trained(tmp_path / "back", sink=sink)
    assert reproducible(tmp_path / "back") == reproducible(tmp_path / "usual")
    beat = heartbeat_of(tmp_path / "back")
    assert (beat.status, beat.alarm) == ("finished", heartbeat_of(tmp_path / "usual").alarm)
    assert beat.written_at < clock() - 7000
    assert all(row["steps_per_s"] > 0 for row in sink.rows)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves_the_handlers_unchanged(tmp_path: Path, number: int) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    sink = Recorder(500, lambda: signal.raise_signal(number))
    result, _ = trained(tmp_path, sink=sink)
    assert not result.finished
    assert result.checkpoint == tmp_path / "step_000000512"
    assert "stopped at step 512 of 1,600" in sink.messages[-1]
    assert "can be resumed" in sink.messages[-1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert trained(tmp_path)[0].finished


def test_a_second_sigint_ends_it_at_once(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # A shell ignores SIGINT for what it runs in the background, and so for these tests.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, sink=Recorder(500, twice))
    assert checkpoint.steps(tmp_path) == {}


def test_a_run_that_would_fail_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RedoxError, match="reward signal: a return of 0") as caught:
        trained(tmp_path / "run", SERIAL, Fading(0.0))
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "message"), [(0.0, r"constant value.*all have value 0"), (math.nan, r"nan.*not finite")]
)
def test_a_reward_that_turns_into_nonsense_ends_the_run_and_is_not_saved(
    tmp_path: Path, value: float, message: str
) -> None:
    config = SERIAL.changed(timesteps=100_000)
    sink = Recorder()
    with pytest.raises(NonsenseError, match=message) as caught:
        trained(tmp_path, config, Fading(value, 600), sink=sink)
    assert caught.value.exit_code == 70
    beat = heartbeat_of(tmp_path)
    assert beat.status == "failed"
    assert "watchdog" in beat.message
    saved = list(checkpoint.steps(tmp_path))
    assert saved
    assert saved[0] == beat.checkpoint_step <= beat.step
    assert sink.rows[-1]["steps"] <= beat.step < config.timesteps


def test_speed_counts_this_process_only_and_time_and_steps_the_whole_run(tmp_path: Path) -> None:
    first, _ = trained(tmp_path, SERIAL.changed(timesteps=800))
    second, sink = trained(tmp_path)
    seconds_before = checkpoint.load(first.checkpoint).state["training_time_s"]
    for row in sink.rows:
        seconds = row["seconds"] - seconds_before
        assert seconds > 0
        assert row["steps_per_s"] == pytest.approx((row["steps"] - first.steps) / seconds, rel=0.05)
    assert second.last_row["updates"] == 13


def test_a_finished_run_is_reported_and_left_unchanged(tmp_path: Path) -> None:
    done, _ = trained(tmp_path)
    before = reproducible(tmp_path)
    again, sink = trained(tmp_path)
    assert "nothing left to do" in sink.messages[0]
    assert (again.steps, again.checkpoint, again.finished) == (done.steps, done.checkpoint, True)
    assert reproducible(tmp_path) == before


def test_the_policy_of_a_run_acts(tmp_path: Path) -> None:
    trained(tmp_path)
    policy = load_policy(tmp_path)
    mask = np.asarray([[True, False, True, True, True]])
    assert policy.act(np.zeros((1, 5), dtype=np.float32), mask)[0] != 1
