"""AWS calls that moto lacks or answers with samples, served by the host behind the sshd."""

import datetime as dt
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from infra.deployed import Deployed
from infra.machine.contract import OUTCOME
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


@dataclass
class FakeAws:
    """A client for every AWS service."""

    host: SshHost
    state: str = "running"  # of the host in EC2
    online: bool = True  # for Systems Manager
    console: str | None = None  # instead of the host's own
    admits: bool = True  # EC2 Instance Connect authorizes keys
    keys: str = ""  # host keys that Systems Manager returns
    calls: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)  # of the bucket
    deployed: Deployed = DEPLOYED

    def client(self, service: str) -> Any:
        """Return this client for any service."""
        del service
        return self

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

    @property
    def exceptions(self) -> Any:
        return SimpleNamespace(NoSuchKey=KeyError)

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> Any:
        del Bucket
        self.objects[Key] = Body

    def get_object(self, Bucket: str, Key: str) -> Any:
        del Bucket
        return {"Body": io.BytesIO(self.objects[Key])}

    def set_desired_capacity(self, AutoScalingGroupName: str, DesiredCapacity: int, **_: Any) -> Any:
        """Launch the host, which is set up at once, or end it."""
        assert AutoScalingGroupName == "redox-host"
        self.calls.append(f"set_desired_capacity {DesiredCapacity}")
        self.deployed = replace(
            self.deployed, instance_id=INSTANCE if DesiredCapacity else None, wanted=DesiredCapacity
        )
        if DesiredCapacity:
            self.objects[OUTCOME] = json.dumps({"instance": INSTANCE, "failures": 0}).encode()
