"""AWS on one machine: moto over HTTP, with what it lacks of a host, and the environment in which the CDK finds it.

Run as a program it is the server, with what moto lacks and the deployment or its daily commands need; see `serve`.
Of hosts it knows what lies in the folder of `ops.simulator.host`: who is online, what a console says, whom it admits.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.simulator.records import HOSTS, HostRecord, console_of, records

REGION, ACCOUNT = "us-east-1", "123456789012"
ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60.0
KEY_S = 60.0  # for which EC2 Instance Connect opens a host to a key
VCPUS = 256  # the quota of the account; a new one at AWS has 5
CALL = "call: "  # begins the line of the log that names an operation
# What operations that change nothing begin with; of S3 the method says it.
READING = ("Describe", "Get", "List", "Head", "Lookup", "GET", "HEAD")
# Whoever started the server may be killed, too.
_ENDING_WITH_US = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
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
    def hosts(self) -> Path:
        """Folder of the hosts that it knows of."""
        return self.log.parent / "hosts"

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

    def calls(self) -> list[str]:
        """Return the operations that it was asked for so far, "ec2 RunInstances" or "s3 PUT /bucket/key"."""
        lines = self.log.read_text().splitlines()
        return [line.removeprefix(CALL) for line in lines if line.startswith(CALL)]

    def changes(self) -> list[str]:
        """Return those of the operations that may change something."""
        return [call for call in self.calls() if not call.split(" ")[1].startswith(READING)]

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
        server = subprocess.Popen(  # noqa: S603 - our own
            [*_ENDING_WITH_US, sys.executable, "-m", "ops.simulator.aws"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "NO_COLOR": "1", HOSTS: str(folder.absolute() / "hosts")},
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
    from moto.server import main  # noqa: PLC0415 - only the server needs it

    _make_hosts_as_templates_say()
    _take_tags_of_an_image()
    _have_quotas()
    _reach_hosts()
    _write_down_calls()
    main(["--host", "127.0.0.1", "--port", "0"])


def _give(kind: Any, **methods: Any) -> None:
    """Put methods in the place of those that moto has, or lacks."""
    for name, method in methods.items():
        setattr(kind, name, method)


def _make_hosts_as_templates_say() -> None:
    """Have devices that are left out of an image, and termination protection: moto's CloudFormation knows neither."""
    from moto.ec2.models.instances import Instance  # noqa: PLC0415

    create = Instance.create_from_cloudformation_json

    def as_aws_does(_cls: type, /, name: str, json: Any, account: str, region: str, **more: Any) -> Any:
        properties = json["Properties"]
        devices = properties.get("BlockDeviceMappings", [])
        properties["BlockDeviceMappings"] = [device for device in devices if "NoDevice" not in device]
        instance = create(name, json, account, region, **more)
        instance.disable_api_termination = properties.get("DisableApiTermination") in (True, "true")
        return instance

    _give(Instance, create_from_cloudformation_json=classmethod(as_aws_does))


def _take_tags_of_an_image() -> None:
    """Tag the snapshots of an image when it is made: moto refuses to, and makes one of the root device whatever."""
    from moto.ec2.models.amis import AmiBackend  # noqa: PLC0415

    create = AmiBackend.create_image

    def as_aws_does(self: Any, instance: str, name: str, description: str, tag_specifications: Any) -> Any:
        own = [each for each in tag_specifications if each["ResourceType"] == "image"]
        image = create(self, instance, name, description, own)
        for each in tag_specifications:
            if each["ResourceType"] == "snapshot":
                image.ebs_snapshot.add_tags({tag["Key"]: tag["Value"] for tag in each["Tags"]})
        return image

    _give(AmiBackend, create_image=as_aws_does)


def _have_quotas() -> None:
    """Know the quotas of vCPUs: moto has those of VPC alone."""
    from moto.servicequotas.models import ServiceQuotasBackend  # noqa: PLC0415

    known = ServiceQuotasBackend.get_service_quota

    def as_aws_does(self: Any, service_code: str, quota_code: str) -> Any:
        if service_code != "ec2":
            return known(self, service_code, quota_code)
        return {"ServiceCode": service_code, "QuotaCode": quota_code, "Value": float(VCPUS)}

    _give(ServiceQuotasBackend, get_service_quota=as_aws_does)


def _reach_hosts() -> None:
    """Lead to hosts: moto has one sample of a console, lets nobody in, and does not know who is online."""
    from moto.core.responses import ActionResult  # noqa: PLC0415
    from moto.ec2.responses.general import General  # noqa: PLC0415
    from moto.ec2instanceconnect.responses import Ec2InstanceConnectResponse  # noqa: PLC0415
    from moto.ssm.responses import SimpleSystemManagerResponse  # noqa: PLC0415

    def console(self: Any) -> Any:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        said = base64.b64encode(console_of(instance.id).encode()).decode()
        return ActionResult({"InstanceId": instance.id, "Output": said, "Timestamp": _now()})

    def information(self: Any) -> Any:
        wanted = {
            value
            for each in self._get_param("Filters") or []
            if each["Key"] == "InstanceIds"
            for value in each["Values"]
        }
        known = [_information(each) for each in records() if not wanted or each.instance_id in wanted]
        return ActionResult({"InstanceInformationList": known})

    def admit(self: Any) -> str:
        asked = json.loads(self.body)
        for each in records():
            if each.instance_id == asked["InstanceId"] and each.alive:
                each.admit(asked["InstanceOSUser"], asked["SSHPublicKey"], KEY_S)
                return json.dumps({"RequestId": "stand-in", "Success": True})
        raise RuntimeError(f"{asked['InstanceId']} does not run")

    _give(General, get_console_output=console)
    _give(SimpleSystemManagerResponse, describe_instance_information=information)
    _give(Ec2InstanceConnectResponse, send_ssh_public_key=admit)


def _information(host: HostRecord) -> dict[str, Any]:
    return {
        "InstanceId": host.instance_id,
        "PingStatus": "Online" if host.online else "ConnectionLost",
        "LastPingDateTime": _now(),
        "PlatformType": "Linux",
    }


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _write_down_calls() -> None:
    """Name each operation in the log; the server itself writes only a path, which of most services is `/`."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication  # noqa: PLC0415

    dispatch = DomainDispatcherApplication.__call__

    def written_down(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        print(f"{CALL}{scope[1] if scope else '-'} {_operation(environ)}", flush=True)  # noqa: T201 - its log
        return dispatch(self, environ, start_response)

    _give(DomainDispatcherApplication, __call__=written_down)


def _operation(environ: dict[str, Any]) -> str:
    """Return the name of what is asked for: services say it in a header, in a form, or by method and path."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if action := urllib.parse.parse_qs(body.decode()).get("Action"):
            return str(action[0])
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


if __name__ == "__main__":
    serve()
