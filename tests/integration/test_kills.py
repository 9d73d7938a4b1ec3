"""A short kill drill: `make drills` does ten times as many kills, and kills whole trainings."""

from pathlib import Path

from kills import INTERVAL, kill_saves


def test_kills_during_saves_lose_at_most_one_interval(tmp_path: Path) -> None:
    resumes = kill_saves(tmp_path / "run", 15, seed=3)
    assert len(resumes.losses) >= 10
    assert resumes.from_nothing == resumes.damaged == 0
    assert max(resumes.losses) <= INTERVAL
