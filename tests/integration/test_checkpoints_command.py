"""`redox checkpoints` as a user runs it, against a bucket over HTTP."""

import json
import os
from pathlib import Path

import numpy as np

from commands import assert_refused, redox
from fault_proxy import Fault, flipped
from redox_balancer.runs import checkpoint
from redox_balancer.runs.remote.bucket import Bucket, RunAddress
from redox_balancer.runs.remote.lock import RunLock
from s3_stand_in import S3


def save(run: Path, *steps: int) -> None:
    for step in steps:
        checkpoint.save(run, step, {"weights": np.arange(step)}, {"return_mean": None, "best": None})


def test_push_list_and_pull(s3: S3, tmp_path: Path) -> None:
    run = tmp_path / "run"
    save(run, 1000, 2000, 3000)
    (run / "metrics.csv").write_text("steps\n")
    pushed = redox("checkpoints", "push", run, s3.url, "--json")
    assert json.loads(pushed.stdout) == {"pushed": [3000, 2000, 1000], "there": [], "failed": {}}, pushed.stderr
    assert "pushed step 3,000" in pushed.stderr
    again = redox("checkpoints", "push", run, s3.url)
    assert "0 checkpoints pushed, 3 already present" in again.stdout

    key = "experiments/run/step_000003000/arrays.safetensors"
    s3.write(key, flipped(s3.read(key)))
    s3.write("experiments/run/step_000004000/state.json", b"{}")
    listed = json.loads(redox("checkpoints", "list", s3.url, "--json").stdout)["checkpoints"]
    assert [(row["step"], row["state"]) for row in listed] == [
        (4000, "unfinished"), (3000, "unverified"), (2000, "unverified"), (1000, "unverified"),
    ]  # fmt: skip
    here = json.loads(redox("checkpoints", "list", run, "--verify", "--json").stdout)["checkpoints"]
    assert [(row["step"], row["state"], row["bytes"]) for row in here] == [
        (row["step"], "whole", row["bytes"]) for row in listed[1:]
    ]
    assert all(0 <= row["age_s"] < 600 for row in here + listed)
    verified = redox("checkpoints", "list", s3.url, "--verify")
    assert_refused(
        verified, "step_000003000/ is damaged: arrays.safetensors", "2,000 is the newest intact", finding=True
    )

    to = tmp_path / "pulled"
    refused = redox("checkpoints", "pull", s3.url, "--to", to, "--step", 3000)
    assert_refused(refused, "arrays.safetensors", "fetch the next older one, step 2000 (--step)")
    assert checkpoint.steps(to) == {}
    pulled = redox("checkpoints", "pull", s3.url, "--to", to, "--json")
    answer = json.loads(pulled.stdout)
    assert (answer["step"], list(answer["damaged"])) == (2000, ["3000"])
    assert "using an older one" in pulled.stderr
    assert checkpoint.load(to / "step_000002000").step == 2000
    assert (to / "metrics.csv").exists()


def test_invalid_pushes_and_pulls_are_refused_in_one_line(s3: S3, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert_refused(redox("checkpoints", "push", run, s3.url), "no checkpoint in")
    assert_refused(redox("checkpoints", "pull", s3.url, "--to", run), "has no checkpoint")
    assert_refused(redox("checkpoints", "pull", "s3://bucket/run", "--to", run), "s3://BUCKET/experiments/RUN")
    save(run, 1000)
    (tmp_path / "elsewhere").mkdir()
    lock = RunLock(Bucket(s3.bucket, timeout_s=5.0), RunAddress.parse(s3.url), tmp_path / "elsewhere", ttl_s=600)
    lock.take(print)
    assert_refused(redox("checkpoints", "push", run, s3.url), f"locked by process {os.getpid()} on ")
    lock.close()
    s3.proxy.faults = [Fault("error", "", times=1e9, status=503)]
    away = redox("checkpoints", "push", run, s3.url)
    assert (away.returncode, len(away.stderr.splitlines())) == (75, 2)
    assert "503" in away.stderr
    assert checkpoint.steps(tmp_path / "pulled") == {}
