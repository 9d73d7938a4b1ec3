"""Brings to the bucket whatever checkpoint a push of the training missed, and tells CloudWatch how old it is there.

Runs hourly as `python3 -m infra.machine.sweep`. The image's own `redox checkpoints` does the work, on a volume that
it can only read; this adds the figure, with the boto3 of the distribution.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.machine import metadata
from infra.machine.decisions import training
from infra.machine.watch import SETTINGS, read_beats

RETRIES = Config(retries={"mode": "standard", "max_attempts": 5})
ISOLATED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def main() -> int:
    """Sweep once; the exit code is 1 when something could not be brought away."""
    settings = json.loads(SETTINGS.read_text())
    runs = settings["storage.runs"]
    experiments = Path(settings["container.data"]) / runs
    fine, ages = True, [0.0]  # 0 where nothing is trained
    for run in sorted({path.parent for path in experiments.glob("[!.]*/step_*")}):
        url = f"s3://{os.environ['REDOX_BUCKET']}/{runs}/{run.name}"
        pushed = checkpoints(settings["container.data"], "push", str(run), url)
        say(pushed.stdout.strip())
        if pushed.returncode:
            say(f"{run.name}: {pushed.stderr.strip()}")
        fine = fine and not pushed.returncode
        if training(read_beats(experiments, run.name), time.time()):
            listed = checkpoints(settings["container.data"], "list", url, "--json")
            ages.append(age_s(listed.stdout) if listed.returncode == 0 else time.time())
    try:
        report(settings["names.metrics"], max(ages))
    except (BotoCoreError, ClientError) as error:
        say(f"no figure: {error}")
        return 1
    return 0 if fine else 1


def checkpoints(data: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `redox checkpoints` in the image of the training."""
    environment = [f"--env=AWS_DEFAULT_REGION={os.environ['REDOX_REGION']}", "--env=AWS_ENDPOINT_URL"]
    options = [*ISOLATED, f"--volume={data}:{data}:ro", *environment]
    command = [
        "docker",
        "run",
        "--rm",
        "--pull=never",
        *options,
        os.environ["REDOX_IMAGE"],
        "checkpoints",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def say(text: str) -> None:
    """Write a line to the log of the host."""
    print(f"{time.strftime('%FT%TZ', time.gmtime())} sweep: {text}", flush=True)


def age_s(listed: str) -> float:
    """Return the age of the newest whole checkpoint of a list, that of the clock where there is none."""
    ages = [each["age_s"] for each in json.loads(listed)["checkpoints"] if each["state"] != "unfinished"]
    return min(ages, default=time.time())


def report(namespace: str, age: float) -> None:
    """Tell CloudWatch how old the backup is."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")  # older boto3 does not read it by itself
    cloudwatch: Any = boto3.client(
        "cloudwatch", region_name=os.environ["REDOX_REGION"], config=RETRIES, endpoint_url=endpoint
    )
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": "checkpoint_age_s",
                "Dimensions": [{"Name": "InstanceId", "Value": metadata.get("instance-id")}],
                "Value": age,
                "Unit": "Seconds",
            }
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
