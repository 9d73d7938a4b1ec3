"""Brings to the bucket whatever checkpoint a push of the training missed; adds, never deletes.

Runs hourly as `python3 -m infra.machine.sweep`, with the boto3 of the distribution. A checkpoint is there when its
manifest is, so the manifest goes last.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.machine import metadata
from infra.machine.decisions import training
from infra.machine.watch import SETTINGS, read_beats

MANIFEST, HEARTBEAT = "manifest.json", "heartbeat.json"
RETRIES = Config(retries={"mode": "standard", "max_attempts": 5})


def main() -> int:
    """Sweep once; the exit code is 1 when something could not be brought away."""
    settings = json.loads(SETTINGS.read_text())
    runs: str = settings["storage"]["runs"]
    experiments = Path(settings["container"]["data"]) / runs
    s3 = client("s3")
    bucket = os.environ["REDOX_BUCKET"]
    try:
        known = remote_sizes(s3, bucket, runs)
        sent = [key for path, key in missing(experiments, runs, known) if send(s3, bucket, path, key)]
        ages = [checkpoint_age_s(s3, bucket, f"{runs}/{run.name}/") for run in experiments.glob("*") if alive(run)]
        report(settings["names"]["metrics"], max(ages, default=0.0))
    except (BotoCoreError, ClientError, boto3.exceptions.Boto3Error) as error:
        say(f"failed, the next one goes on: {error}")
        return 1
    say(f"{len(sent)} files sent, {len(known)} were there")
    return 0


def client(service: str) -> Any:
    """Return a client of an AWS service in the region of this machine."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")  # older boto3 does not read it by itself
    return boto3.client(service, region_name=os.environ["REDOX_REGION"], config=RETRIES, endpoint_url=endpoint)


def say(text: str) -> None:
    """Write a line to the log of the host."""
    print(f"{time.strftime('%FT%TZ', time.gmtime())} sweep: {text}", flush=True)


def remote_sizes(s3: Any, bucket: str, prefix: str) -> dict[str, int]:
    """Return the size in bytes of every object below a prefix."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}


def missing(experiments: Path, prefix: str, known: dict[str, int]) -> Iterator[tuple[Path, str]]:
    """Give the files that the bucket lacks or has in another size, with their keys, a checkpoint's manifest last.

    What is being written (its name starts with a dot) and links are not looked at: `latest` is found by listing.
    """
    for run in sorted(experiments.glob("[!.]*")):
        for folder, names, files in os.walk(run):
            names[:] = sorted(
                name for name in names if not name.startswith(".") and not (Path(folder) / name).is_symlink()
            )
            for name in sorted(files, key=lambda name: (name == MANIFEST, name)):
                path = Path(folder) / name
                key = f"{prefix}/{path.relative_to(experiments)}"
                if not name.startswith(".") and not path.is_symlink() and known.get(key) != path.stat().st_size:
                    yield path, key


def send(s3: Any, bucket: str, path: Path, key: str) -> bool:
    """Upload a file; one that the trainer removed meanwhile is passed over."""
    try:
        s3.upload_file(str(path), bucket, key)
    except FileNotFoundError:
        return False
    return True


def alive(run: Path) -> bool:
    """Whether a trainer is at work on a run."""
    return training(read_beats(run.parent, run.name), time.time())


def checkpoint_age_s(s3: Any, bucket: str, prefix: str) -> float:
    """Return the age of the newest checkpoint of a run in the bucket, infinitely old where there is none."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    written = [
        item["LastModified"].timestamp()
        for page in pages
        for item in page.get("Contents", [])
        if item["Key"].endswith(f"/{MANIFEST}")
    ]
    return time.time() - max(written, default=0.0)


def report(namespace: str, age_s: float) -> None:
    """Tell CloudWatch how old the backup is; 0 where nothing is trained."""
    client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": "checkpoint_age_s",
                "Dimensions": [{"Name": "InstanceId", "Value": metadata.get("instance-id")}],
                "Value": age_s,
                "Unit": "Seconds",
            }
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
