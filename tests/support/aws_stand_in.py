"""AWS on one machine: moto over HTTP, with what it lacks of a host, and the environment in which the CDK finds it.

Run as a program it is the server: moto knows no device that is left out of an image and no termination protection in
a template, both of which the deployment has.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REGION, ACCOUNT = "us-east-1", "123456789012"
START_TIMEOUT_S = 60.0
# What moto's CloudFormation passes over; held by the tests of the template instead.
UNSUPPORTED = {
    "AWS::Budgets::Budget",
    "AWS::Budgets::BudgetsAction",
    "AWS::CloudWatch::Alarm",
    "AWS::DLM::LifecyclePolicy",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SSM::Association",
}


@dataclass(frozen=True)
class StandIn:
    """A server that runs, and its log."""

    address: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the CDK, for boto3 and for whatever they start."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            # The CDK writes addresses of templates itself, and moto tells a bucket from a host by the name.
            "AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION": self.address.replace("127.0.0.1", "localhost"),
            "AWS_ACCESS_KEY_ID": "stand-in",
            "AWS_SECRET_ACCESS_KEY": "stand-in",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def client(self, service: str) -> Any:
        """Return a client of boto3."""
        import boto3  # noqa: PLC0415 - only who asks needs it

        keys = {"aws_access_key_id": "stand-in", "aws_secret_access_key": "stand-in"}
        return boto3.client(service, endpoint_url=self.address, region_name=REGION, **keys)

    def hidden_failures(self) -> list[str]:
        """Return what went wrong inside: the CDK tries failures again until they look green."""
        lines = self.log.read_text().splitlines()
        unknown = re.compile(r"No Moto CloudFormation support for (\S+)")
        return [
            line
            for line in lines
            if re.search(r'" 500\b', line) or ((found := unknown.search(line)) and found[1] not in UNSUPPORTED)
        ]


@contextmanager
def stand_in(folder: Path) -> Iterator[StandIn]:
    """Run a server on a free port of the loopback; its log lies in the folder."""
    log = folder / "stand-in.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, __file__],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "NO_COLOR": "1"},
        )
    try:
        yield StandIn(_address(server, log), log)
    finally:
        server.terminate()
        server.wait()


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    """Return the address that the server says it has, once it answers there."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        found = re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())
        if found:
            try:
                with urllib.request.urlopen(f"{found[1]}/moto-api/"):  # noqa: S310 - our own server
                    return found[1]
            except urllib.error.URLError:
                pass
        time.sleep(0.05)
    raise RuntimeError(f"the stand-in does not start: {log.read_text()[-2_000:]}")


def serve() -> None:
    """Be the server."""
    from moto.ec2.models.instances import Instance  # noqa: PLC0415 - only the server needs them
    from moto.server import main  # noqa: PLC0415

    create = Instance.create_from_cloudformation_json

    def as_aws_does(_cls: type, name: str, json: Any, account: str, region: str, **more: Any) -> Any:
        properties = json["Properties"]
        devices = properties.get("BlockDeviceMappings", [])
        properties["BlockDeviceMappings"] = [device for device in devices if "NoDevice" not in device]
        instance = create(name, json, account, region, **more)
        instance.disable_api_termination = properties.get("DisableApiTermination") in (True, "true")
        return instance

    Instance.create_from_cloudformation_json = classmethod(as_aws_does)
    main(["--host", "127.0.0.1", "--port", "0"])


if __name__ == "__main__":
    serve()
