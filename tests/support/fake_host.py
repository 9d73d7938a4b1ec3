"""AWS calls that moto lacks or answers with samples, served by the host behind the sshd."""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

import boto3

from infra.deployed import Deployed
from infra.machine.aws import Found
from infra.machine.contract import OUTCOME, QUEUE
from infra.machine.jobs import Queue
from infra.settings import FILE, Settings, parse
from ops.remote.host import RemoteHost
from ops.session import Session
from ssh_host import USER, SshHost

INSTANCE = "i-0123456789abcdef0"
DEPLOYED = Deployed(bucket="checkpoints", repository="repository", instance_id=INSTANCE, wanted=1)
OpenSession = Callable[..., Session]
ReachHost = Callable[..., RemoteHost]


def settings(**changes: str) -> Settings:
    """The settings of the deployment, with some values of the file replaced by these TOML values."""
    text = FILE.read_text()
    for key, value in changes.items():
        line = f"{key} = {value}"
        text, count = re.subn(rf"(?m)^(# )?{key} = .*$", lambda _, line=line: line, text)  # type: ignore[misc]
        assert count == 1, key
    return parse(text)


class Objects(MutableMapping[str, bytes]):
    """The objects of the deployment's bucket in an S3 stand-in, which the host reaches as well."""

    def __init__(self, address: str) -> None:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        self.s3 = boto3.client("s3", endpoint_url=address, **keys)
        self.s3.create_bucket(Bucket=DEPLOYED.bucket)
        for key in self:
            del self[key]

    def __getitem__(self, key: str) -> bytes:
        try:
            return bytes(self.s3.get_object(Bucket=DEPLOYED.bucket, Key=key)["Body"].read())
        except self.s3.exceptions.NoSuchKey:
            raise KeyError(key) from None

    def __setitem__(self, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=DEPLOYED.bucket, Key=key, Body=content)

    def __delitem__(self, key: str) -> None:
        self.s3.delete_object(Bucket=DEPLOYED.bucket, Key=key)

    def __iter__(self) -> Iterator[str]:
        found = self.s3.list_objects_v2(Bucket=DEPLOYED.bucket).get("Contents", [])
        return iter([each["Key"] for each in found])

    def __len__(self) -> int:
        return len(list(iter(self)))

    @property
    def queue(self) -> Queue:
        """The queue of jobs."""
        return Queue.of(Found(self[QUEUE], "") if QUEUE in self else None)


@dataclass
class FakeAws:
    """A client for every AWS service."""

    host: SshHost
    objects: Objects
    state: str = "running"  # of the host in EC2
    online: bool = True  # for Systems Manager
    console: str | None = None  # instead of the host's own
    admits: bool = True  # EC2 Instance Connect authorizes keys
    keys: str = ""  # host keys that Systems Manager returns
    calls: list[str] = field(default_factory=list)
    deployed: Deployed = DEPLOYED
    deploys: Callable[[], Deployed] | None = None  # what each query finds, instead

    def client(self, service: str) -> Any:
        """Return this client for any service but S3."""
        return self.objects.s3 if service == "s3" else self

    def describe_instances(self, Filters: list[dict[str, Any]]) -> Any:
        self.calls.append("describe_instances")
        started = dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)
        found = {"InstanceId": Filters[0]["Values"][0], "State": {"Name": self.state}, "LaunchTime": started}
        return {"Reservations": [{"Instances": [found]}]}

    def describe_instance_information(self, Filters: Any) -> Any:
        del Filters
        return {"InstanceInformationList": [{"PingStatus": "Online" if self.online else "ConnectionLost"}]}

    def get_console_output(self, InstanceId: str) -> Any:
        del InstanceId
        self.calls.append("get_console_output")
        return {"Output": self.host.console if self.console is None else self.console}

    def send_command(self, Parameters: Any, **_: Any) -> Any:
        self.calls.append("send_command")
        assert Parameters["commands"] == ["cat /etc/ssh/ssh_host_*_key.pub"]
        return {"Command": {"CommandId": "a-command"}}

    def get_waiter(self, name: str) -> Any:
        self.calls.append(name)
        return self

    def wait(self, **_: Any) -> None:
        pass

    def get_command_invocation(self, CommandId: str, InstanceId: str) -> Any:
        assert (CommandId, InstanceId) == ("a-command", INSTANCE)
        return {"StandardOutputContent": self.keys}

    def send_ssh_public_key(self, InstanceId: str, InstanceOSUser: str, SSHPublicKey: str) -> Any:
        assert (InstanceId, InstanceOSUser) == (INSTANCE, USER)
        if self.admits:
            self.host.admit(SSHPublicKey)
        return {"Success": True}

    def get_caller_identity(self) -> Any:
        return {"Arn": "arn:aws:iam::123456789012:user/somebody"}

    def get_service_quota(self, **_: Any) -> Any:
        return {"Quota": {"Value": 256.0}}

    def set_desired_capacity(self, AutoScalingGroupName: str, DesiredCapacity: int, **_: Any) -> Any:
        """Launch the host, which is set up at once, or end it."""
        assert AutoScalingGroupName == "redox-host"
        self.calls.append(f"set_desired_capacity {DesiredCapacity}")
        self.deployed = replace(
            self.deployed, instance_id=INSTANCE if DesiredCapacity else None, wanted=DesiredCapacity
        )
        if DesiredCapacity:
            self.objects[OUTCOME] = json.dumps({"instance": INSTANCE, "failures": 0}).encode()
