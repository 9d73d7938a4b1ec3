"""Brings to the bucket whatever checkpoint a push of the training missed; adds, never deletes.

Runs hourly as `python3 -m infra.machine.sweep`, with the boto3 of the distribution. A checkpoint is there when its
manifest is, so the manifest goes last.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.machine import metadata
from infra.machine.decisions import training
from infra.machine.watch import SETTINGS, read_beats

MANIFEST = "manifest.json"
RETRIES = Config(retries={"mode": "standard", "max_attempts": 5})


@dataclass(frozen=True)
class Remote:
    """An object of the bucket: size in bytes, tag of its content, and Unix time at which it came, in seconds."""

    size: int
    etag: str
    written_at: float


def main() -> int:
    """Sweep once; the exit code is 1 when something could not be brought away."""
    settings = json.loads(SETTINGS.read_text())
    runs: str = settings["storage.runs"]
    experiments = Path(settings["container.data"]) / runs
    s3 = client("s3")
    bucket = os.environ["REDOX_BUCKET"]
    try:
        known = remote(s3, bucket, f"{runs}/")
        sent = sum(send(s3, bucket, files) for files in missing(experiments, runs, known))
        ages = [checkpoint_age_s(s3, bucket, f"{runs}/{run.name}/") for run in experiments.glob("*") if alive(run)]
        report(settings["names.metrics"], max(ages, default=0.0))
    except (BotoCoreError, ClientError, boto3.exceptions.Boto3Error) as error:
        say(f"failed, the next one goes on: {error}")
        return 1
    say(f"{sent} files sent, {len(known)} were there")
    return 0


def client(service: str) -> Any:
    """Return a client of an AWS service in the region of this machine."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")  # older boto3 does not read it by itself
    return boto3.client(service, region_name=os.environ["REDOX_REGION"], config=RETRIES, endpoint_url=endpoint)


def say(text: str) -> None:
    """Write a line to the log of the host."""
    print(f"{time.strftime('%FT%TZ', time.gmtime())} sweep: {text}", flush=True)


def remote(s3: Any, bucket: str, prefix: str) -> dict[str, Remote]:
    """Return every object below a prefix by its key."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        item["Key"]: Remote(item["Size"], item["ETag"].strip('"'), item["LastModified"].timestamp())
        for page in pages
        for item in page.get("Contents", [])
    }


def missing(experiments: Path, prefix: str, known: dict[str, Remote]) -> Iterator[list[tuple[Path, str]]]:
    """Give the files that the bucket lacks with their keys, folder by folder, a manifest last.

    A checkpoint goes as a whole, or not at all when its manifest is there; other files go when their size differs.
    What is being written (its name starts with a dot) and links are passed over: `latest` is found by listing.
    """
    for run in sorted(experiments.glob("[!.]*")):
        for folder, names, files in os.walk(run):
            here = Path(folder)
            names[:] = sorted(name for name in names if not name.startswith(".") and not (here / name).is_symlink())
            paths = [
                here / name for name in sorted(files, key=lambda name: (name == MANIFEST, name)) if name[0] != "."
            ]
            found = [(path, f"{prefix}/{path.relative_to(experiments)}") for path in paths if not path.is_symlink()]
            with suppress(FileNotFoundError):  # the trainer removes old checkpoints meanwhile
                if MANIFEST in files:
                    path, key = found[-1]
                    yield [] if key in known and known[key].etag == _md5(path) else found
                else:
                    yield [(path, key) for path, key in found if key not in known or known[key].size != _size(path)]


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()  # what S3 tags a small object with


def _size(path: Path) -> int:
    return path.stat().st_size


def send(s3: Any, bucket: str, files: list[tuple[Path, str]]) -> int:
    """Upload files in order and return how many; ends at one that is gone, so that no manifest tells of it."""
    for count, (path, key) in enumerate(files):
        try:
            s3.upload_file(str(path), bucket, key)
        except FileNotFoundError:
            return count
    return len(files)


def alive(run: Path) -> bool:
    """Whether a trainer is at work on a run."""
    return training(read_beats(run.parent, run.name), time.time())


def checkpoint_age_s(s3: Any, bucket: str, prefix: str) -> float:
    """Return the age of the newest checkpoint of a run in the bucket, infinitely old where there is none."""
    found = remote(s3, bucket, prefix)
    written = [item.written_at for key, item in found.items() if key.endswith(f"/{MANIFEST}")]
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
