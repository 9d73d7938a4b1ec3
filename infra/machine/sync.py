"""Uploads the checkpoints that the training failed to push, and reports the age of the newest one to CloudWatch.

Runs hourly as `python3 -m infra.machine.sync`. The image's own `redox checkpoints` uploads, from a volume mounted
read-only; the metric is reported with the distribution's boto3.
"""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.machine import contract, log, metadata
from infra.machine.heartbeats import training

RETRIES = Config(retries={"mode": "standard", "max_attempts": 5})
ISOLATED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")

say = partial(log.say, "sync")


def main() -> int:
    """Sync once; the exit code is 1 when anything could not be uploaded or reported."""
    settings = json.loads(contract.HOST_SETTINGS.read_text())
    runs = settings["storage.runs"]
    experiments = Path(settings["container.data"]) / runs
    complete, ages = True, [0.0]  # 0 when nothing is training
    for run in sorted({path.parent for path in experiments.glob("[!.]*/step_*")}):
        url = f"s3://{os.environ['REDOX_BUCKET']}/{runs}/{run.name}"
        pushed = checkpoints(settings["container.data"], "push", str(run), url)
        say(pushed.stdout.strip())
        if pushed.returncode:
            say(f"{run.name}: {pushed.stderr.strip()}")
            complete = False
        if training(experiments, time.time(), run.name):
            listed = checkpoints(settings["container.data"], "list", url, "--json")
            ages.append(age_s(listed.stdout) if listed.returncode == 0 else time.time())
    try:
        report(settings["names.metrics"], max(ages))
    except (BotoCoreError, ClientError) as error:
        say(f"the metric was not reported: {error}")
        return 1
    return 0 if complete else 1


def checkpoints(data: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `redox checkpoints` in the trainer's image."""
    environment = [f"--env=AWS_DEFAULT_REGION={os.environ['REDOX_REGION']}", "--env=AWS_ENDPOINT_URL"]
    options = ["--rm", "--pull=never", *ISOLATED, f"--volume={data}:{data}:ro", *environment]
    command = ["docker", "run", *options, os.environ["REDOX_IMAGE"], "checkpoints", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def age_s(listed: str) -> float:
    """Return the age of the newest complete checkpoint of a listing; since 1970 when there is none."""
    ages = [each["age_s"] for each in json.loads(listed)["checkpoints"] if each["state"] != "unfinished"]
    return min(ages, default=time.time())


def report(namespace: str, age: float) -> None:
    """Report the age of the backup to CloudWatch."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")  # older versions of boto3 do not read it
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
