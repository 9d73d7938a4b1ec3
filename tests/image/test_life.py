"""A training in the container: stopped, killed, out of memory, and resumed."""

import re
import time
from dataclasses import replace
from pathlib import Path

from containers import FLAGS, SAVE_INTERVAL_S, Engine, Training, newest
from redox_balancer.errors import EXIT_OK
from waiting import wait_until

STOP_S = 30.0


def resumed_at(training: Training) -> int:
    """The step from which a training resumed."""
    training.heartbeat(lambda beat: beat.updated_at, "an update")
    steps = re.findall(r"^resuming \S+ at step ([\d,]+)", training.log(), flags=re.MULTILINE)
    return int(steps[-1].replace(",", ""))


def test_a_kill_loses_one_interval_at_most_a_stop_nothing_and_both_are_resumed(engine: Engine, runs: Path) -> None:
    with engine.training(runs) as first:
        first.saved()
        first.saved()
        first.container.kill()
        killed = time.time()
        first.container.wait()
        assert first.state["ExitCode"] == 137
        assert not first.state["OOMKilled"]
        saved = newest(first.run)
        lost_s = killed - (first.run / f"step_{saved:09d}" / "manifest.json").stat().st_mtime
        assert 0 <= lost_s < SAVE_INTERVAL_S + 1.0  # and the time of a save
    with engine.training(runs) as second:
        assert resumed_at(second) == saved
        second.saved()
        start = time.monotonic()
        second.container.stop()
        seconds = time.monotonic() - start
        assert second.state["ExitCode"] == EXIT_OK
        assert seconds < STOP_S
        stopped = newest(second.run)
        assert f"stopped at step {stopped:,}" in second.log()
    with engine.training(runs) as third:
        assert resumed_at(third) == stopped
        assert third.saved() > stopped


# Allocates memory in the container until the kernel kills an actor: Ray gives its workers the highest OOM score. A
# child allocates it, as the kernel may kill that one, too, before the actor's memory is free.
HOG = """
import os
from pathlib import Path

actors = [path for path in Path("/proc").glob("[0-9]*") if (path / "cmdline").read_text().startswith("ray::Coll")]


def all_alive():
    try:
        return all((actor / "cmdline").read_text() for actor in actors)
    except OSError:
        return False


if os.fork() == 0:
    kept = []
    while all_alive():
        kept.append(bytearray(b"x") * 10_000_000)
    os._exit(0)
os.wait()
print(0 if all_alive() else len(actors))
"""


def test_an_actor_out_of_memory_is_replaced(read_once: Engine, runs: Path) -> None:
    with read_once.training(runs, options=["--memory=2g"]) as training:
        training.heartbeat(lambda beat: beat.actors_alive == 2 and beat.step > 0, "two actors")
        assert training.inside(HOG) == 2
        wait_until(lambda: "takes over" in training.log(), "another actor")
        step = training.heartbeat(lambda beat: beat.actors_alive == 2, "two actors again").step
        training.heartbeat(lambda beat: beat.step > step, "their steps")
        training.container.stop()
        assert training.state["ExitCode"] == EXIT_OK


# Memory that belongs to no process, until the kernel kills the largest one, the trainer. Its memory is freed a moment
# later; if the kernel kills another process until then, it should be the flood and not the supervisor.
FLOOD = """
from pathlib import Path
Path("/proc/self/oom_score_adj").write_text("200")
trainer = max(Path("/proc").glob("[0-9]*"), key=lambda process: int((process / "statm").read_text().split()[1]))
with open("/dev/shm/flood", "wb") as flood:
    while (trainer / "cmdline").exists() and (trainer / "cmdline").read_text():
        flood.write(bytes(10_000_000))
"""
FLOODED = ["bash", "-c", 'python3 -c "$0"; rm /dev/shm/flood', FLOOD]


def test_a_trainer_out_of_memory_ends_with_137_and_resumes_when_started_again(read_once: Engine, runs: Path) -> None:
    flags = replace(FLAGS, shm_bytes=8_000_000_000)
    with read_once.training(runs, "--num-actors", "0", options=["--memory=1g"], flags=flags) as training:
        training.saved()
        training.container.exec_run(FLOODED)
        training.container.wait()
        assert training.state["ExitCode"] == 137
        assert training.state["OOMKilled"]
        saved = newest(training.run)
        training.container.start()  # as the host's unit does
        assert resumed_at(training) == saved
        assert training.saved() > saved


def test_a_supervised_trainer_out_of_memory_is_started_again_within_its_container(
    read_once: Engine, runs: Path
) -> None:
    flags = replace(FLAGS, shm_bytes=8_000_000_000)
    with read_once.training(
        runs, "--num-actors", "0", "--supervise", options=["--memory=1g"], flags=flags
    ) as training:
        training.saved()
        training.container.exec_run(FLOODED)
        wait_until(
            lambda: "supervisor: the training was ended by SIGKILL" in training.log(), "the supervisor's report"
        )
        wait_until(lambda: "resuming" in training.log(), "the resumed training")
        training.saved()
        assert training.state["Running"]
        training.container.stop()
        assert training.state["ExitCode"] == EXIT_OK


# The trainer is what tini started. The heartbeat is set back by a minute at once, instead of waiting for it to age.
STOP = """
import json, os, signal, time
trainer = int(open("/proc/1/task/1/children").read().split()[0])
os.kill(trainer, signal.SIGSTOP)
while open(f"/proc/{trainer}/stat").read().rpartition(")")[2].split()[0] != "T":
    time.sleep(0.01)
os.utime("/data/experiments/first/heartbeat.json", (0, time.time() - 61))
print(json.dumps(trainer))
"""
CONTINUE = "import os, signal; os.kill({}, signal.SIGCONT); print(0)"


def test_the_health_check_detects_a_training_that_hangs_and_one_that_continues(engine: Engine, runs: Path) -> None:
    often = ["--health-interval=1s", "--health-start-period=0s", "--health-retries=1"]

    def health() -> str:
        return str(training.state["Health"]["Status"])

    with engine.training(runs, "--num-actors", "0", "--heartbeat-interval-s", "1", options=often) as training:
        wait_until(lambda: health() == "healthy", "a healthy container")
        trainer = training.inside(STOP)
        wait_until(lambda: health() == "unhealthy", "an unhealthy container")
        assert training.state["Running"]
        assert "the last heartbeat is 6" in training.state["Health"]["Log"][-1]["Output"]
        training.inside(CONTINUE.format(trainer))
        wait_until(lambda: health() == "healthy", "a container that is healthy again")
