"""Asks for workers, or sends them away: `python3 -m infra.machine.workers NUMBER`."""

from __future__ import annotations

import os
import sys

import boto3


def main(number: int) -> int:
    """Set how many workers the group of this host has."""
    group = os.environ["REDOX_GROUP"]
    client = boto3.client(
        "autoscaling",
        region_name=os.environ["REDOX_REGION"],
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),  # older boto3 does not read it by itself
    )
    client.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=number, HonorCooldown=False)
    print(f"workers: {number} of {group} asked for", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
