import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from redox_balancer.cli.train import child_arguments
from redox_balancer.errors import EXIT_NONSENSE, EXIT_USER_ERROR
from redox_balancer.runs.supervisor import supervise

# Notes its start in a file and dies of SIGKILL until it was started often enough.
CHILD = """
import os, signal, sys
with open(sys.argv[1], "a") as starts:
    starts.write("x")
if os.path.getsize(sys.argv[1]) <= int(sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(sys.argv[3]))
"""


def run(starts: Path, *, dies: int, code: int = 0, max_restarts: int = 10) -> tuple[int, int, list[bool], list[str]]:
    asked: list[bool] = []
    said: list[str] = []

    def command(restart: bool) -> list[str]:  # noqa: FBT001
        asked.append(restart)
        return [sys.executable, "-c", CHILD, str(starts), str(dies), str(code)]

    ended = supervise(command, max_restarts=max_restarts, report=said.append, first_pause_s=0.001)
    return ended, starts.stat().st_size, asked, said


def test_a_child_that_is_killed_is_started_again_until_it_ends_well(tmp_path: Path) -> None:
    code, starts, asked, said = run(tmp_path / "starts", dies=3)
    assert (code, starts) == (0, 4)
    assert asked == [False, True, True, True]
    assert len(said) == 3
    assert "was ended by SIGKILL; restart 1 of at most 10 an hour in 0.001 s" in said[0]
    assert "in 0.004 s" in said[2]


@pytest.mark.parametrize("code", [0, EXIT_USER_ERROR, EXIT_NONSENSE])
def test_a_child_that_has_said_all_is_not_started_again(tmp_path: Path, code: int) -> None:
    assert run(tmp_path / "starts", dies=0, code=code) == (code, 1, [False], [])


@pytest.mark.parametrize(("dies", "code", "ends"), [(99, 0, 128 + signal.SIGKILL), (0, 1, 1)])
def test_after_too_many_crashes_it_gives_up_with_the_childs_code(
    tmp_path: Path, dies: int, code: int, ends: int
) -> None:
    ended, starts, _, said = run(tmp_path / "starts", dies=dies, code=code, max_restarts=2)
    assert (ended, starts) == (ends, 3)
    assert "giving up after 2 restarts" in said[-1]


# The child reports that it is ready, and which signal it received; its own child would run forever.
WAITING = """
import signal, subprocess, sys
numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("ready", grandchild.pid, flush=True)
print("asked", signal.sigwait(numbers), flush=True)
sys.exit(3)
"""
SUPERVISOR = f"""
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
from redox_balancer.runs.supervisor import supervise
command = [sys.executable, "-c", {WAITING!r}]
sys.exit(supervise(lambda restart: command, max_restarts=9, report=print, first_pause_s=0.001))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_child_once_which_is_not_started_again_and_leaves_nothing(number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        ready, grandchild = process.stdout.readline().split()
        assert ready == "ready"
        # As Ctrl-C on a terminal does it: to the whole group.
        os.killpg(process.pid, number)
        # Ends only when the grandchild, which holds the pipe too, is gone.
        assert process.stdout.read() == f"asked {number}\n"
    assert process.returncode == 3
    del grandchild


def test_the_child_gets_the_command_without_the_supervisors_options() -> None:
    given = ["train", "--supervise", "--max-restarts", "3", "--resume=runs/a", "--timesteps", "9"]
    assert child_arguments(given, resumes=False) == ["train", "--resume=runs/a", "--timesteps", "9"]
    assert child_arguments(given, resumes=True) == ["train", "--timesteps", "9", "--resume", "auto"]
    assert child_arguments(["train", "--max-restarts=3", "--supervise"], resumes=False) == ["train"]
