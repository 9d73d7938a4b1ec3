"""Scales the group of workers: `python3 -m infra.machine.workers NUMBER`."""

import os
import sys

import boto3


def main(number: int) -> int:
    """Set the desired number of workers."""
    group = os.environ["REDOX_GROUP"]
    client = boto3.client(
        "autoscaling",
        region_name=os.environ["REDOX_REGION"],
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),  # older versions of boto3 do not read it
    )
    client.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=number, HonorCooldown=False)
    print(f"workers: {number} of {group} requested", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
