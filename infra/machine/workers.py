"""The Ray cluster: `python3 -m infra.machine.workers NUMBER` scales the workers, `head` prints the host's address."""

import os
import sys

from infra.machine import contract
from infra.machine.aws import Aws, metadata


def main(wanted: str) -> int:
    """Set the desired number of workers, or print the address that the host has published; 1 if it has not."""
    aws, group = Aws.of_machine(), os.environ["REDOX_GROUP"]
    if wanted == "head":
        found = aws.get(contract.HEAD)
        sys.stdout.write(found.content.decode() if found else "")
        return 0 if found else 1
    if wanted != "0":
        aws.write(contract.HEAD, (metadata("local-ipv4") or "").encode())
    parameters = {"AutoScalingGroupName": group, "DesiredCapacity": wanted, "HonorCooldown": "false"}
    aws.call("autoscaling", "SetDesiredCapacity", **parameters)
    print(f"workers: {wanted} of {group} requested", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
