"""Simulated AWS: moto over HTTP, extended by what it lacks, and the environment in which clients find it.

Run as a program, this module is the server; see `serve`. It reads the records of the simulated hosts: whether they
are online, their console output, and their authorized keys.
"""

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

from ops.simulator.builds import add_builds
from ops.simulator.functions import SCHEDULED, SERVER, add_functions
from ops.simulator.groups import add_groups
from ops.simulator.permissions import ACCOUNT, HOST, KNOWN, OPERATOR, REGION, USED, Permissions, simulate_rights
from ops.simulator.records import HOSTS, console_of, records
from ops.simulator.rules import ACCOUNT_FILE, BROKEN, add_rules, replace, write_log
from redox_balancer.files import write_atomically

__all__ = ["ACCOUNT", "REGION", "StandIn", "stand_in"]

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 180.0  # on a machine that is busy with trainings
KEY_S = 60.0  # for which EC2 Instance Connect authorizes a key
VCPUS = 256  # quota of the account; a new account at AWS has 5
CALL = "call: "  # prefix of the log lines that name operations
# Prefixes of operations that change nothing; for S3, its methods.
READ_ONLY = ("Describe", "Get", "List", "Head", "Lookup", "Simulate", "GET", "HEAD")
# If the process that starts the server is killed, so is the server.
_ENDS_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
# Ignored by moto's CloudFormation; rules make alarms, policies and subscriptions, tests of templates cover all.
UNSUPPORTED = {
    "AWS::Budgets::Budget",
    "AWS::AutoScaling::ScalingPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::CodeBuild::Project",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SSM::Association",
}


@dataclass(frozen=True)
class StandIn:
    """A running server and its log."""

    address: str
    log: Path

    @property
    def hosts(self) -> Path:
        """Folder of the simulated hosts."""
        return self.log.parent / "hosts"

    @property
    def environment(self) -> dict[str, str]:
        """Environment for the CDK, for boto3 and for the processes they start."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            # The CDK builds addresses of templates itself, and moto needs a host name to recognise the bucket in it.
            "AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION": self.address.replace("127.0.0.1", "localhost"),
            "AWS_ACCESS_KEY_ID": OPERATOR,
            "AWS_SECRET_ACCESS_KEY": "stand-in",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def client(self, service: str) -> Any:
        """Return a client of boto3, which AWS itself or a test uses: it may do everything."""
        import boto3  # noqa: PLC0415 - not needed by the server

        keys = {"aws_access_key_id": "stand-in", "aws_secret_access_key": "stand-in"}
        return boto3.client(service, endpoint_url=self.address, region_name=REGION, **keys)

    def calls(self) -> list[str]:
        """Return all operations so far, "ec2 RunInstances" or "s3 PUT /bucket/key"."""
        lines = self.log.read_text().splitlines()
        return [line.removeprefix(CALL) for line in lines if line.startswith(CALL)]

    def changes(self) -> list[str]:
        """Return the operations that may have changed something."""
        return [call for call in self.calls() if not call.split(" ")[1].startswith(READ_ONLY)]

    def hidden_failures(self) -> list[str]:
        """Return broken rules of AWS, and internal failures of the server, which retries of the CDK would hide."""
        lines = self.log.read_text().splitlines()
        unknown = re.compile(r"No Moto CloudFormation support for (\S+)")
        return [
            line
            for line in lines
            if line.startswith(BROKEN)
            or re.search(r'" 500\b', line)
            or ((found := unknown.search(line)) and found[1] not in UNSUPPORTED)
        ]

    def unused_statements(self, *principals: str) -> list[str]:
        """Return the statements of policies that no call needed so far, as "operator JSON" or "host JSON"."""
        lines = self.log.read_text().splitlines()
        known, used = ({line.removeprefix(word) for line in lines if line.startswith(word)} for word in (KNOWN, USED))
        return [each for each in sorted(known - used) if each.split()[0] in (principals or (OPERATOR, HOST))]

    def tick(self, now: dt.datetime) -> None:
        """Have all schedules call their functions once, which take this time for now, and wait for their end."""
        events = self.client("events")
        rules = [each["Arn"] for each in events.list_rules()["Rules"] if "ScheduleExpression" in each]
        given = {"Source": "aws.events", "DetailType": SCHEDULED, "Detail": "{}", "Resources": rules, "Time": now}
        events.put_events(Entries=[given])

    def set_account(self, **state: Any) -> None:
        """Set the state of the account.

        `refusals` are codes of errors by zone, `no_spot` is why spot has no instance, `cost_tags` are active tags,
        `refused_actions` what the operator may not.
        """
        write_atomically(self.log.with_name(ACCOUNT_FILE), json.dumps(state).encode())


@contextmanager
def stand_in(folder: Path) -> Iterator[StandIn]:
    """Run a server on a free port of the loopback interface; its log is in the folder."""
    log = folder / "stand-in.log"
    with log.open("a") as output:
        server = subprocess.Popen(  # noqa: S603 - our own
            [*_ENDS_WITH_PARENT, sys.executable, "-m", "ops.simulator.aws"],
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
    """Return the address in the server's log, once it answers there."""
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
    raise RuntimeError(f"simulated AWS does not start: {log.read_text()[-2_000:]}")


def serve() -> None:
    """Run the server."""
    from moto.server import main  # noqa: PLC0415 - needed by the server only

    _patch_images()
    _patch_logs()
    _patch_quotas()
    _patch_host_access()
    simulate_rights()
    add_rules()
    add_groups()
    add_functions()
    add_builds()
    _log_operations()
    main(["--host", "127.0.0.1", "--port", "0"])


def _patch_logs() -> None:
    """End the ARN of a log group as CloudFormation does: with its streams."""
    from moto.logs.models import LogGroup  # noqa: PLC0415

    attribute = LogGroup.get_cfn_attribute

    # It has no other attribute.
    replace(LogGroup, get_cfn_attribute=lambda self, name: f"{attribute(self, name)}:*")


def _patch_images() -> None:
    """Tag the snapshots of an image when it is made, which moto refuses, and delete them with it where asked to.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeregisterImage.html
    """
    from moto.ec2.models.amis import AmiBackend  # noqa: PLC0415
    from moto.ec2.responses.amis import AmisResponse  # noqa: PLC0415

    create = AmiBackend.create_image

    def as_aws_does(self: Any, instance: str, name: str, description: str, tag_specifications: Any) -> Any:
        own = [each for each in tag_specifications if each["ResourceType"] == "image"]
        image = create(self, instance, name, description, own)
        for each in tag_specifications:
            if each["ResourceType"] == "snapshot":
                image.ebs_snapshot.add_tags({tag["Key"]: tag["Value"] for tag in each["Tags"]})
        return image

    def deregister(self: Any) -> Any:
        image = self.ec2_backend.amis.get(self._get_param("ImageId"))
        answer = original(self)
        if image and self._get_bool_param("DeleteAssociatedSnapshots"):
            self.ec2_backend.delete_snapshot(image.ebs_snapshot.id)
        return answer

    original = AmisResponse.deregister_image
    replace(AmiBackend, create_image=as_aws_does)
    replace(AmisResponse, deregister_image=deregister)


def _patch_quotas() -> None:
    """Add the vCPU quotas; moto has quotas of VPC only."""
    from moto.servicequotas.models import ServiceQuotasBackend  # noqa: PLC0415

    original = ServiceQuotasBackend.get_service_quota

    def as_aws_does(self: Any, service_code: str, quota_code: str) -> Any:
        if service_code != "ec2":
            return original(self, service_code, quota_code)
        return {"ServiceCode": service_code, "QuotaCode": quota_code, "Value": float(VCPUS)}

    replace(ServiceQuotasBackend, get_service_quota=as_aws_does)


def _patch_host_access() -> None:
    """Answer from the records of the hosts: console output, Systems Manager's inventory, EC2 Instance Connect."""
    from moto.core.responses import ActionResult  # noqa: PLC0415
    from moto.ec2.responses.general import General  # noqa: PLC0415
    from moto.ec2instanceconnect.responses import Ec2InstanceConnectResponse  # noqa: PLC0415
    from moto.ssm.responses import SimpleSystemManagerResponse  # noqa: PLC0415

    def console(self: Any) -> Any:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        output = base64.b64encode(console_of(instance.id).encode()).decode()
        return ActionResult({"InstanceId": instance.id, "Output": output, "Timestamp": _now()})

    def information(self: Any) -> Any:
        wanted = {
            value
            for each in self._get_param("Filters") or []
            if each["Key"] == "InstanceIds"
            for value in each["Values"]
        }
        known = [
            {
                "InstanceId": each.instance_id,
                "PingStatus": "Online" if each.online else "ConnectionLost",
                "LastPingDateTime": _now(),
                "PlatformType": "Linux",
            }
            for each in records()
            if not wanted or each.instance_id in wanted
        ]
        return ActionResult({"InstanceInformationList": known})

    def admit(self: Any) -> str:
        request = json.loads(self.body)
        for each in records():
            if each.instance_id == request["InstanceId"] and each.alive:
                each.admit(request["InstanceOSUser"], request["SSHPublicKey"], KEY_S)
                return json.dumps({"RequestId": "stand-in", "Success": True})
        raise RuntimeError(f"{request['InstanceId']} is not running")

    replace(General, get_console_output=console)

    def session(_self: Any) -> Any:
        return ActionResult({"SessionId": "stand-in"})  # the gateway connects by itself

    replace(SimpleSystemManagerResponse, describe_instance_information=information, start_session=session)
    replace(Ec2InstanceConnectResponse, send_ssh_public_key=admit)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _log_operations() -> None:
    """Log the name of each operation, and what its principal may not do.

    The server itself logs only the path, which is `/` for most services.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication  # noqa: PLC0415

    dispatch, permissions = DomainDispatcherApplication.__call__, Permissions()

    def logged(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        scope = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        principal, service = scope.groups() if scope else ("", "-")
        operation, parameters = _operation(environ)
        os.environ[SERVER] = f"http://127.0.0.1:{environ['SERVER_PORT']}"
        write_log(f"{CALL}{service} {operation}")
        if service == "s3" and environ.get("QUERY_STRING"):
            operation += f"?{environ['QUERY_STRING']}"
        # The CDK assumes roles of its own, but for the bootstrap, which an administrator runs.
        if "aws-cdk" not in environ.get("HTTP_USER_AGENT", "") or service == "sts":
            for line in permissions(principal, service, operation, parameters):
                write_log(line)
        return dispatch(self, environ, start_response)

    replace(DomainDispatcherApplication, __call__=logged)


def _operation(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return name and parameters of an operation, from header, form or path, depending on the service."""

    def body() -> bytes:
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(content)
        return bytes(content)

    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2], json.loads(body() or b"{}")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        form = {key: values[0] for key, values in urllib.parse.parse_qs(body().decode()).items()}
        if action := form.get("Action"):
            return action, form
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}", {}


if __name__ == "__main__":
    serve()
