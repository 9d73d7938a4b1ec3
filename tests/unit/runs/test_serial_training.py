from __future__ import annotations

import csv
import json
import math
import os
import signal
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_checkpoint import disk_full_after

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import load_policy
from redox_balancer.runs.heartbeat import Heartbeat, read_heartbeat
from redox_balancer.runs.metrics import TIME_COLUMNS
from redox_balancer.runs.trainer import train
from redox_balancer.runs.watchdog import NonsenseError
from sinks import Recorder
from toy_envs import Broken, Fading, Shelves

if TYPE_CHECKING:
    from pathlib import Path

# Intervals in steps: nothing depends on the clock. 400 is no multiple of 128, so saves and rows fall between.
CONFIG = TrainConfig(
    timesteps=1600,
    num_actors=0,
    envs_per_actor=8,
    rollout_length=8,
    batch_size=128,
    hidden_sizes=(16,),
    save_interval_steps=400,
    log_interval_steps=300,
)


class Killed(BaseException):
    pass


def die() -> None:
    raise Killed


def all_but_time(run: Path) -> dict[str, Any]:
    """Everything a run leaves behind that may not depend on interruptions."""
    newest = checkpoint.find(run).checkpoint
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in csv.DictReader(file)]
    return {
        "arrays": {name: array.tobytes() for name, array in newest.arrays.items()},
        "state": {key: value for key, value in newest.state.items() if key != "training_time_s"},
        "rows": rows,
        "checkpoints": list(checkpoint.steps(run)),
    }


def test_n_steps_a_kill_and_the_rest_equal_the_whole_run_bit_for_bit(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(CONFIG, Shelves(), whole, resume=None, progress=Recorder())
    # Killed between two checkpoints: what came after the last one is lost and is done again.
    for step in (1100, 600):
        with pytest.raises(Killed):
            train(CONFIG, Shelves(), broken, resume="auto", progress=Recorder(step, die))
    sink = Recorder()
    result = train(CONFIG, Shelves(), broken, resume="auto", progress=sink)
    assert sink.started == (896, 1600)
    assert all_but_time(broken) == all_but_time(whole)
    assert result.steps == 1664
    assert len(all_but_time(whole)["rows"]) > 5


def test_the_same_settings_give_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(replace(CONFIG, seed=seed), Shelves(), tmp_path / name, resume=None, progress=Recorder())
    a, b, c = (all_but_time(tmp_path / name) for name in "abc")
    assert a == b
    assert a["arrays"] != c["arrays"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_says_how_to_go_on_and_the_handlers_are_as_before(tmp_path: Path, number: int) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    sink = Recorder(500, lambda: signal.raise_signal(number))
    result = train(CONFIG, Shelves(), tmp_path, resume=None, progress=sink)
    assert not result.finished
    assert result.checkpoint == tmp_path / "step_000000512"
    assert "--resume auto" in sink.messages[-1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert train(CONFIG, Shelves(), tmp_path, resume="auto", progress=Recorder()).finished


def test_a_second_sigint_leaves_at_once(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # A shell ignores SIGINT for what it runs in the background, and so for these tests.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, Shelves(), tmp_path, resume=None, progress=Recorder(500, twice))
    assert checkpoint.steps(tmp_path) == {}


def test_what_would_fail_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RedoxError, match="reward signal: a return of 0") as caught:
        train(CONFIG, Fading(0.0), tmp_path / "run", resume=None, progress=Recorder())
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, r"constant value.*all have value 0"), (math.nan, r"nan.*not a number")]
)
def test_a_reward_that_turns_into_nonsense_ends_the_run_and_is_not_saved(
    tmp_path: Path, value: float, said: str
) -> None:
    config = replace(CONFIG, timesteps=100_000)
    sink = Recorder()
    with pytest.raises(NonsenseError, match=said) as caught:
        train(config, Fading(value, 600), tmp_path, resume=None, progress=sink)
    assert caught.value.exit_code == 70
    beat = read_heartbeat(tmp_path)
    assert beat is not None
    assert beat.status == "failed"
    assert "watchdog" in beat.message
    saved = list(checkpoint.steps(tmp_path))
    assert saved
    assert saved[0] == beat.checkpoint_step <= beat.step
    assert sink.rows[-1]["steps"] <= beat.step < config.timesteps


def test_speed_counts_this_process_only_and_time_and_steps_the_whole_run(tmp_path: Path) -> None:
    first = train(replace(CONFIG, timesteps=800), Shelves(), tmp_path, resume=None, progress=Recorder())
    sink = Recorder()
    second = train(CONFIG, Shelves(), tmp_path, resume="auto", progress=sink)
    seconds_before = checkpoint.load(first.checkpoint).state["training_time_s"]
    for row in sink.rows:
        here = row["seconds"] - seconds_before
        assert here > 0
        assert row["steps_per_s"] == pytest.approx((row["steps"] - first.steps) / here, rel=0.05)
    assert second.last_row["updates"] == 13


def test_a_finished_run_says_so_and_is_left_alone(tmp_path: Path) -> None:
    done = train(CONFIG, Shelves(), tmp_path, resume=None, progress=Recorder())
    before = all_but_time(tmp_path)
    sink = Recorder()
    again = train(CONFIG, Shelves(), tmp_path, resume="auto", progress=sink)
    assert "nothing left to do" in sink.messages[0]
    assert (again.steps, again.checkpoint, again.finished) == (done.steps, done.checkpoint, True)
    assert all_but_time(tmp_path) == before


def test_an_empty_folder_starts_anew_and_says_so_and_a_used_one_asks_for_resume(tmp_path: Path) -> None:
    sink = Recorder()
    train(CONFIG, Shelves(), tmp_path, resume="auto", progress=sink)
    assert "starting anew" in sink.messages[0]
    with pytest.raises(RedoxError, match="already holds a run") as caught:
        train(CONFIG, Shelves(), tmp_path, resume=None, progress=Recorder())
    assert "--resume auto" in caught.value.hint


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(tmp_path: Path) -> None:
    train(CONFIG, Shelves(), tmp_path, resume=None, progress=Recorder())
    before = all_but_time(tmp_path)
    (tmp_path / "step_000001664" / "state.json").write_text("{}")
    sink = Recorder()
    train(CONFIG, Shelves(), tmp_path, resume="auto", progress=sink)
    assert "step_000001664 is damaged" in sink.warnings[0]
    assert all_but_time(tmp_path) == before
    for path in checkpoint.steps(tmp_path).values():
        (path / "manifest.json").unlink()
    with pytest.raises(RedoxError, match="every checkpoint"):
        train(CONFIG, Shelves(), tmp_path, resume="auto", progress=Recorder())


def test_a_folder_of_which_only_damaged_checkpoints_are_left_does_not_start_anew(tmp_path: Path) -> None:
    train(CONFIG, Shelves(), tmp_path, resume=None, progress=Recorder())
    for path in checkpoint.steps(tmp_path).values():
        checkpoint.set_aside(path)
    with pytest.raises(RedoxError, match="only damaged"):
        train(CONFIG, Shelves(), tmp_path, resume="auto", progress=Recorder())


def test_a_path_resumes_into_a_folder_of_its_own_and_never_over_newer_checkpoints(tmp_path: Path) -> None:
    run, branch = tmp_path / "run", tmp_path / "branch"
    train(CONFIG, Shelves(), run, resume=None, progress=Recorder())
    older = run / "step_000000896"
    with pytest.raises(RedoxError, match="do not come before"):
        train(CONFIG, Shelves(), run, resume=older, progress=Recorder())
    sink = Recorder()
    train(CONFIG, Shelves(), branch, resume=older, progress=sink)
    assert sink.started == (896, 1600)
    assert all_but_time(branch)["arrays"] == all_but_time(run)["arrays"]
    with pytest.raises(RedoxError, match="do not come before"):
        train(CONFIG, Shelves(), branch, resume=run, progress=Recorder())
    with pytest.raises(RedoxError, match="not a checkpoint"):
        train(CONFIG, Shelves(), tmp_path / "new", resume=tmp_path / "nothing", progress=Recorder())
    assert not (tmp_path / "new").exists()


def test_another_environment_or_policy_is_refused(tmp_path: Path) -> None:
    train(replace(CONFIG, timesteps=500), Shelves(), tmp_path, resume=None, progress=Recorder())
    with pytest.raises(RedoxError, match="another environment: flavour differ"):
        train(CONFIG, Shelves("sour"), tmp_path, resume="auto", progress=Recorder())
    with pytest.raises(RedoxError, match="sizes"):
        train(replace(CONFIG, hidden_sizes=(8,)), Shelves(), tmp_path, resume="auto", progress=Recorder())
    with pytest.raises(RedoxError, match="no shelf for"):
        train(CONFIG, Broken(), tmp_path / "broken", resume=None, progress=Recorder())


def test_on_a_full_disk_training_goes_on_and_its_end_is_an_error(tmp_path: Path) -> None:
    train(replace(CONFIG, timesteps=400), Shelves(), tmp_path, resume=None, progress=Recorder())
    settings_size = (tmp_path / "config.json").stat().st_size
    saved = list(checkpoint.steps(tmp_path))
    sink = Recorder()
    with disk_full_after(settings_size + 500), pytest.raises(RedoxError, match="could not be written") as caught:
        train(CONFIG, Shelves(), tmp_path, resume="auto", progress=sink)
    assert caught.value.exit_code == 2
    assert "--resume auto" in caught.value.hint
    assert sink.rows[-1]["steps"] == 1664
    failed = sum("NO CHECKPOINT" in warning for warning in sink.warnings)
    assert failed >= 3
    # The last two, at the last step, came after the last row.
    assert [row["failed_saves"] for row in sink.rows][-1] == failed - 2
    assert list(checkpoint.steps(tmp_path)) == saved
    assert not list(tmp_path.glob(".*"))
    # With room again the run goes on.
    assert train(CONFIG, Shelves(), tmp_path, resume="auto", progress=Recorder()).finished


def test_the_heartbeat_tells_how_the_run_does_and_how_it_ended(tmp_path: Path) -> None:
    seen: list[Heartbeat | None] = []
    config = replace(CONFIG, heartbeat_interval_s=0.001)

    def look() -> None:
        # Each beat is written soon after; the first one that is newer than this moment knows of this step.
        now = time.time()
        while (beat := read_heartbeat(tmp_path)) is None or beat.written_at < now:
            pass
        seen.append(beat)

    train(config, Shelves(), tmp_path, resume=None, progress=Recorder(1000, look))
    (during,) = seen
    assert during is not None
    assert (during.pid, during.status, during.timesteps) == (os.getpid(), "training", 1600)
    assert during.checkpoint_step == 896
    assert during.steps_per_s > 0
    assert not during.ended
    after = read_heartbeat(tmp_path)
    assert after is not None
    assert (after.status, after.step, after.checkpoint_step, after.failed_saves) == ("finished", 1664, 1664, 0)
    assert after.ended

    longer = replace(config, timesteps=4000)
    sink = Recorder(2000, lambda: signal.raise_signal(signal.SIGTERM))
    train(longer, Shelves(), tmp_path, resume="auto", progress=sink)
    stopped = read_heartbeat(tmp_path)
    assert stopped is not None
    assert (stopped.status, stopped.step) == ("stopped", checkpoint.find(tmp_path).checkpoint.step)

    with pytest.raises(Killed):
        train(longer, Shelves(), tmp_path, resume="auto", progress=Recorder(2500, die))
    failed = read_heartbeat(tmp_path)
    assert failed is not None
    assert failed.status == "failed"
    assert "Killed" in failed.message


def test_a_save_that_fails_shows_in_the_heartbeat_and_the_next_one_that_works_clears_it(tmp_path: Path) -> None:
    beats: list[Heartbeat | None] = []
    with ExitStack() as full:
        # Too small for a checkpoint, large enough for a heartbeat.
        sink = Recorder(300, lambda: full.enter_context(disk_full_after(1500)))
        advance = sink.advance

        def look(steps: int) -> None:
            advance(steps)
            if steps == 640:
                beats.append(read_heartbeat(tmp_path))
                full.close()

        sink.advance = look  # type: ignore[method-assign]
        assert train(CONFIG, Shelves(), tmp_path, resume=None, progress=sink).finished
    (during,) = beats
    assert during is not None
    assert (during.failed_saves, during.checkpoint_step) == (1, None)
    assert "no checkpoint at step 512" in during.message
    after = read_heartbeat(tmp_path)
    assert after is not None
    assert (after.failed_saves, after.message, after.checkpoint_step) == (1, "", 1664)


def test_the_folder_holds_what_it_takes_to_repeat_the_run_and_the_policy_acts(tmp_path: Path) -> None:
    config = replace(CONFIG, keep_checkpoints=2)
    train(config, Shelves(), tmp_path, resume=None, progress=Recorder(), about={"prizes": 4})
    written = json.loads((tmp_path / "config.json").read_text())
    assert TrainConfig(**written["settings"]) == config
    assert written["environment"]["flavour"] == "plain"
    assert written["task"] == {"prizes": 4}
    assert set(written["versions"]) >= {"redox_balancer", "python", "torch", "numpy", "gymnasium", "ray"}
    assert "git_commit" in written
    policy = load_policy(tmp_path)
    mask = np.asarray([[True, False, True, True, True]])
    assert policy.act(np.zeros((1, 5), dtype=np.float32), mask)[0] != 1


def test_the_newest_checkpoints_stay_and_the_best_by_mean_return(tmp_path: Path) -> None:
    config = replace(CONFIG, timesteps=4000, keep_checkpoints=2, keep_every_steps=1000, learning_rate=1e-6)
    train(config, Shelves(), tmp_path, resume=None, progress=Recorder())
    loaded = [checkpoint.load(path) for path in checkpoint.steps(tmp_path).values()]
    best = checkpoint.load(tmp_path / "best")
    newest = loaded[0].state["best"]
    assert newest == {"step": best.step, "return_mean": best.state["return_mean"]}
    assert best.state["return_mean"] == max(each.state["return_mean"] for each in loaded)
    assert {each.step for each in loaded} == {4096, 3712, 1280, 2048, 3200, best.step}
