"""A short kill drill: `make drills` does ten times as many kills."""

from pathlib import Path

from kills import INTERVAL, kill_saves, kill_trainings


def test_kills_during_saves_lose_at_most_one_interval(tmp_path: Path) -> None:
    resumes = kill_saves(tmp_path / "run", 15, seed=3)
    assert len(resumes.losses) >= 10
    assert resumes.from_nothing == resumes.damaged == 0
    assert max(resumes.losses) <= INTERVAL


def test_a_killed_training_resumes_from_its_last_checkpoint(tmp_path: Path) -> None:
    resumes = kill_trainings(tmp_path / "run", 1, actors=0, interval=1024, seed=4)
    assert resumes.from_nothing == 0
    assert 0 <= max(resumes.losses) <= 1024 + 256
