"""150 SIGKILLs in the middle of saves and 10 of whole trainings, and the steps that a run loses."""

from pathlib import Path

from kills import INTERVAL, kill_saves, kill_trainings

TRAIN_INTERVAL = 2048
BATCH = 256


def test_160_resumes_none_from_nothing_and_at_most_one_interval_lost(tmp_path: Path) -> None:
    saves = kill_saves(tmp_path / "saves", 150, seed=0)
    serial = kill_trainings(tmp_path / "serial", 5, actors=0, interval=TRAIN_INTERVAL, seed=1)
    actors = kill_trainings(tmp_path / "actors", 5, actors=2, interval=TRAIN_INTERVAL, seed=2)
    parts = {"saves": (saves, INTERVAL), "serial": (serial, TRAIN_INTERVAL), "2 actors": (actors, TRAIN_INTERVAL)}
    print()  # noqa: T201 - a drill prints its measurements
    for name, (resumes, interval) in parts.items():
        print(  # noqa: T201
            f"{name}: {len(resumes.losses)} resumes, {resumes.from_nothing} from nothing, "
            f"largest loss {max(resumes.losses)} steps (interval {interval}), {resumes.damaged} damaged checkpoints"
        )
    total = sum(len(resumes.losses) for resumes, _ in parts.values())
    nothing = sum(resumes.from_nothing for resumes, _ in parts.values())
    print(  # noqa: T201
        f"{total} resumes, {nothing} from nothing, largest loss {max(max(r.losses) for r, _ in parts.values())} steps"
    )
    assert nothing == 0
    assert saves.damaged == 0
    assert total >= 155  # the first kills may precede the first checkpoint
    for resumes, interval in parts.values():
        assert max(resumes.losses) <= interval + BATCH
