"""Uploads the checkpoints that the training failed to push and its log, and reports the age of the newest one.

Runs hourly as `python3 -m infra.machine.sync`. The image's own `redox checkpoints` uploads, from a folder mounted
read-only.
"""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from infra.machine import contract, log
from infra.machine.aws import Aws, instance_id
from infra.machine.contract import HEARTBEAT, at_work

LINES = 5_000  # of the log of the training
ISOLATED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def training(experiments: Path, now: float, run: str = "*") -> bool:
    """Whether the trainer of a run, by default of any, is alive."""
    for path in experiments.glob(f"{run}/{HEARTBEAT}"):
        try:
            written = json.loads(path.read_text())
            if at_work(str(written["status"]), float(written["written_at"]), now):
                return True
        except (OSError, ValueError, TypeError, KeyError):
            continue  # being replaced, or written by another version; the next round is soon
    return False


say = partial(log.say, "sync")


def main() -> int:
    """Sync once; the exit code is 1 when anything could not be uploaded or reported."""
    settings, aws = json.loads(contract.HOST_SETTINGS.read_text()), Aws.of_machine()
    runs = settings["storage.runs"]
    experiments = Path(settings["container.data"]) / runs
    complete, ages = True, [0.0]  # 0 when nothing is training
    for run in sorted({path.parent for path in experiments.glob("[!.]*/step_*")}):
        url = f"s3://{aws.bucket}/{runs}/{run.name}"
        pushed = checkpoints(settings["container.data"], "push", str(run), url)
        say(pushed.stdout.strip())
        if pushed.returncode:
            say(f"{run.name}: {pushed.stderr.strip()}")
            complete = False
        if training(experiments, time.time(), run.name):
            listed = checkpoints(settings["container.data"], "list", url, "--json")
            ages.append(age_s(listed.stdout) if listed.returncode == 0 else time.time())
    try:
        report(aws, settings["names.metrics"], settings["names.group"], max(ages))
        if run := os.environ.get("REDOX_RUN"):
            store_log(aws, runs, run)
    except OSError as error:
        say(f"metric or log not uploaded: {error}")
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


def report(aws: Aws, namespace: str, group: str, age: float) -> None:
    """Report the age of the backup to CloudWatch."""
    datum = "MetricData.member.1"
    dimension = f"{datum}.Dimensions.member.1"
    aws.call(
        "monitoring",
        "PutMetricData",
        **{
            "Namespace": namespace,
            f"{datum}.MetricName": "checkpoint_age_s",
            f"{datum}.Value": str(age),
            f"{datum}.Unit": "Seconds",
            f"{dimension}.Name": "AutoScalingGroupName",
            f"{dimension}.Value": group,
        },
    )


def store_log(aws: Aws, runs: str, run: str) -> str:
    """Store the last lines of the training's log with its run, and return their key in the bucket."""
    command = ["journalctl", "-u", contract.TRAINER, "-n", str(LINES), "--no-pager", "-o", "short-iso"]
    key = f"{runs}/{run}/logs/{instance_id()}.log"
    aws.write(key, subprocess.run(command, capture_output=True, check=False).stdout)
    return key


if __name__ == "__main__":
    sys.exit(main())
