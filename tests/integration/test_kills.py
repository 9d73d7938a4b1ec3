"""A short kill drill: `make drills` does ten times as many kills, and kills whole trainings."""

import subprocess
from pathlib import Path

import psutil
import pytest

from commands import REDOX
from kills import INTERVAL, kill_saves
from waiting import wait_until

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def test_kills_during_saves_lose_at_most_one_interval(tmp_path: Path) -> None:
    resumes = kill_saves(tmp_path / "run", 15, seed=3)
    assert len(resumes.losses) >= 10
    assert resumes.from_nothing == resumes.damaged == 0
    assert max(resumes.losses) <= INTERVAL


@pytest.mark.parametrize("killed", ["everything", "the trainer"])
def test_no_actor_and_no_shared_memory_is_left_of_a_killed_training(tmp_path: Path, killed: str) -> None:
    before = set(SHARED_MEMORY.iterdir())
    arguments = ("train", "--checkpoint-dir", "run", "--num-actors", "2", "--log-interval-steps", "1")
    with subprocess.Popen([REDOX, *arguments], stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        said: list[str] = []
        for line in process.stderr or ():
            said.append(line)
            if "steps/s" in line:
                break
        else:
            pytest.fail("".join(said))
        every = psutil.Process(process.pid).children(recursive=True)
        actors = [child for child in every if "ray::CollectorActor" in child.name()]
        assert len(actors) == 2
        assert any("/memfd:rollouts" in file.path for child in every for file in child.memory_maps())
        process.kill()
        for child in every if killed == "everything" else ():
            child.kill()
        # Ray's own agents take longer to notice that their raylet has ended.
        _, alive = psutil.wait_procs(every if killed == "everything" else actors, timeout=60)
        assert not alive
    wait_until(lambda: set(SHARED_MEMORY.iterdir()) <= before, "shared memory as before")
