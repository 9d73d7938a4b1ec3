"""Trainings that push every half second to a bucket that works, fails a third of all requests, or stops responding.

The stand-in for S3 runs in the same process and uses part of its CPU time.
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from fault_proxy import Fault, Kind
from redox_balancer.design.task import Task
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.remote.run import RemoteRun
from redox_balancer.runs.trainer import train
from runs_on_disk import heartbeat_of
from s3_stand_in import S3
from sinks import Recorder

# REDOX_DRILL_ROUNDS shortens it.
ROUNDS = int(os.environ.get("REDOX_DRILL_ROUNDS", "3"))
STEPS = 60_000
CONFIG = TrainConfig(
    timesteps=STEPS,
    num_actors=0,
    save_interval_s=0.5,
    remote_timeout_s=1.0,
    remote_lock_s=30.0,
    remote_patience_s=60.0,
)
FAULTY = [Fault(kind, share=1 / 3 / len(get_args(Kind)), times=1e9) for kind in get_args(Kind)]
STALLED = [Fault("stall", times=1e9), Fault("cut upload", times=1e9)]


@pytest.mark.timeout(3600)
def test_a_training_keeps_its_speed_with_any_state_of_the_bucket_and_accepts_nothing_damaged(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")  # otherwise three
    factory = Task().environments()
    speeds: dict[str, list[float]] = defaultdict(list)
    saved = failed = complete = warned = 0

    def trained(name: str, number: int, config: TrainConfig) -> Path:
        nonlocal failed, warned
        folder, sink = tmp_path / f"{name}-{number}", Recorder()
        result = train(config, factory, folder, resume="auto", progress=sink)
        assert result.finished
        speeds[name].append(result.steps_per_s)
        beat = heartbeat_of(folder)
        failed, warned = failed + beat.failed_pushes, warned + len(sink.warnings)
        return folder

    trained("first", 0, CONFIG.changed(timesteps=STEPS // 4))  # warm-up
    for number in range(ROUNDS):
        trained("no bucket", 2 * number, CONFIG)
        healthy = CONFIG.changed(remote=f"{s3.url}-healthy-{number}")
        trained("healthy", number, healthy)
        assert max(RemoteRun(healthy.remote).complete_steps()) >= STEPS

        broken = CONFIG.changed(remote=f"{s3.url}-broken-{number}")
        while_broken(s3, FAULTY, lambda n=number, c=broken: trained("a third fails", n, c))
        remote = RemoteRun(broken.remote)
        saved += len(remote.checkpoints())
        for step in remote.complete_steps():
            remote.verify(step)
            complete += 1
        assert max(remote.complete_steps()) >= STEPS

        # It stops responding once the run holds its lock.
        away = CONFIG.changed(remote=f"{s3.url}-away-{number}", remote_patience_s=3.0)
        trained("no response", number, away.changed(timesteps=1000))
        before = len(RemoteRun(away.remote).complete_steps())
        speeds["no response"].pop()
        folder = while_broken(s3, STALLED, lambda n=number, c=away: trained("no response", n, c))
        assert len(RemoteRun(away.remote).complete_steps()) == before
        RemoteRun(away.remote).sync(folder, lambda _: None)
        assert max(RemoteRun(away.remote).complete_steps()) >= STEPS
        trained("no bucket", 2 * number + 1, CONFIG)

    # Before and after each round, since the load of this machine varies.
    alone = [statistics.fmean(speeds["no bucket"][2 * number : 2 * number + 2]) for number in range(ROUNDS)]
    shares = {
        name: statistics.median(speed / base for speed, base in zip(speeds[name], alone, strict=True))
        for name in ("healthy", "a third fails", "no response")
    }
    with capsys.disabled():
        print()  # noqa: T201
        for name, each in speeds.items():
            share = f"{100 * shares[name]:4.0f} % of no bucket" if name in shares else ""
            values = "  ".join(f"{speed:7,.0f}" for speed in each)
            print(f"{name:15} {values} steps/s  {share}")  # noqa: T201 - a drill prints its measurements
        met = {fault.kind: fault.met for fault in FAULTY}
        print(  # noqa: T201
            f"faults met while a third fails: {met}; {complete} of {saved} checkpoints complete, all verified; "
            f"{failed} failed pushes, {warned} warnings; requests: "
            + ", ".join(f"{method} {s3.proxy.count(method, '')}" for method in sorted(s3.proxy.methods()))
        )
    assert all(fault.met > 0 for fault in FAULTY)
    assert min(shares.values()) >= 0.8


def while_broken(s3: S3, faults: list[Fault], act: Callable[[], Path]) -> Path:
    s3.proxy.faults = faults
    try:
        return act()
    finally:
        s3.proxy.faults = []
