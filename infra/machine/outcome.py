"""Reports the end of the bring-up to the bucket: `python3 -m infra.machine.outcome success|failed [STEP]`.

A host whose bring-up failed is replaced by its group; after three in a row the group is at 0, until a person starts a
host.
"""

import json
import sys
from functools import partial
from pathlib import Path

from infra.machine import contract, log
from infra.machine.aws import Aws, instance_id

LAST_BYTES = 20_000
ATTEMPTS = 3  # failures in a row after which no further host is launched

say = partial(log.say, "bring-up")


def main(outcome: str, step: str, log_file: Path) -> int:
    """Record the outcome, and end the host after a failure."""
    aws, name, failures = Aws.of_machine(), instance_id(), 0
    if outcome == "failed":
        before = aws.get(contract.OUTCOME)
        failures = 1 + (json.loads(before.content)["failures"] if before else 0)
    text = log_file.read_bytes()[-LAST_BYTES:].decode(errors="replace")
    record = {"instance": name, "step": step, "failures": failures, "log": text}
    aws.write(contract.OUTCOME, json.dumps(record).encode())
    if failures:
        aws.write(f"{contract.STATE}/failed/{name}.log", text.encode())
        say(f"ending this host after {failures} failures in a row, of {ATTEMPTS} at most")
        end_host(aws, replace=failures < ATTEMPTS)
    return 0


def end_host(aws: Aws, *, replace: bool) -> None:
    """Terminate this instance; its group launches another one, or has one less."""
    decrement = "false" if replace else "true"
    aws.call(
        "autoscaling",
        "TerminateInstanceInAutoScalingGroup",
        InstanceId=instance_id(),
        ShouldDecrementDesiredCapacity=decrement,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], " ".join(sys.argv[2:]), Path(contract.LOG)))
