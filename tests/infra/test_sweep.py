"""What the sweep brings away, where the trainer removes checkpoints under its hands."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.machine.sweep import missing, remote, send
from ops.demo.aws import StandIn


@pytest.fixture
def bucket(aws: StandIn) -> str:
    aws.client("s3").create_bucket(Bucket="swept")
    return "swept"


def test_a_checkpoint_that_vanishes_leaves_no_manifest_behind(tmp_path: Path, aws: StandIn, bucket: str) -> None:
    step = tmp_path / "run" / "step_000000010"
    step.mkdir(parents=True)
    for name in ("arrays.safetensors", "manifest.json", "state.json"):
        (step / name).write_text(name)
    (whole,) = [files for files in missing(tmp_path, "experiments", {}) if files]
    (step / "state.json").unlink()  # the trainer has begun to remove it
    s3 = aws.client("s3")
    assert send(s3, bucket, whole) == 1
    assert list(remote(s3, bucket, "experiments/")) == ["experiments/run/step_000000010/arrays.safetensors"]
