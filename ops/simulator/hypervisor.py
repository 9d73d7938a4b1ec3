"""Gives each instance of the AWS stand-in that runs a host on this machine, with its volume, and ends it in time.

It looks at the stand-in again and again, as the stand-in tells nobody what it is asked for. A host that ends by
itself was shut down, and its instance counts as stopped; one that was killed stays dead, as a machine without power.
"""

from __future__ import annotations

import base64
import email
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.names import DATA_DEVICE
from ops.simulator import gateway, host
from ops.simulator.aws import StandIn
from ops.simulator.host import DISK, Login, SimulatedHost

LOOK_S = 0.3
# The stand-in waits for no bring-up, so the handle by which it would report has no address.
NO_SIGNAL = "REDOX_SIGNAL_URL='None'"
SHELL_SCRIPT = "text/x-shellscript"


class Hypervisor:
    """The hosts of a stand-in.

    Parameters
    ----------
    aws
        The stand-in.
    login
        Name of who logs in on the hosts.
    patience_s
        How long a host may take to shut down.
    """

    def __init__(self, aws: StandIn, login: str, patience_s: float = 150.0) -> None:
        self.aws, self._login, self._patience_s = aws, login, patience_s
        self._folder = aws.hosts.parent
        self._ec2 = aws.client("ec2")
        self._hosts: dict[str, SimulatedHost] = {}
        self._images: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hypervisor")
        self.problem: Exception | None = None
        self._looked = threading.Condition()
        aws.hosts.mkdir(parents=True, exist_ok=True)
        gateway.install(self.programs, aws.hosts)

    @property
    def programs(self) -> Path:
        """Folder for the user's PATH: what the AWS CLI is there."""
        return self._folder / "bin"

    def host(self, instance_id: str) -> SimulatedHost:
        """Return the host of an instance, once it is up."""
        with self._looked:
            up = self._looked.wait_for(lambda: self.problem or instance_id in self._hosts, self._patience_s)
        if self.problem:
            raise self.problem
        if not up:
            raise TimeoutError(f"{instance_id} has no host")
        return self._hosts[instance_id]

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End every host, hard: nothing outlives the hypervisor."""
        self._stopped.set()
        self._thread.join()
        for each in self._hosts.values():
            if each.record.alive:
                each.kill()

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_S):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - whoever waits for a host is told
                self.problem = error
            with self._looked:
                self._looked.notify_all()
            if self.problem:
                return

    def look(self) -> None:
        """Look once, and do what follows."""
        self._take_images()
        instances = {
            each["InstanceId"]: each
            for found in self._ec2.get_paginator("describe_instances").paginate()
            for reservation in found["Reservations"]
            for each in reservation["Instances"]
        }
        for name, running in list(self._hosts.items()):
            state = instances[name]["State"]["Name"] if name in instances else "terminated"
            code = running.process.poll()
            if code is not None and state == "running":
                if code == 0:  # it shut itself down
                    self._ec2.stop_instances(InstanceIds=[name])
                    del self._hosts[name]
            elif state != "running":
                running.shut_down(self._patience_s)
                del self._hosts[name]
                if state in ("terminated", "shutting-down"):
                    shutil.rmtree(running.disk, ignore_errors=True)
        for name, instance in instances.items():
            if instance["State"]["Name"] == "running" and name not in self._hosts:
                volume = _volume_of(instance)
                if volume:  # the bring-up would wait for it
                    self._hosts[name] = self._start(name, instance, volume)

    def _start(self, name: str, instance: Mapping[str, Any], volume: str) -> SimulatedHost:
        folder = self.aws.hosts / name
        image = self._folder / "images" / instance["ImageId"]
        if not (folder / DISK).exists() and image.exists():
            shutil.copytree(image, folder / DISK, symlinks=True)
        answer = self._ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")
        encoded = answer["UserData"].get("Value", "")
        device = f"nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
        return host.start(
            folder,
            self._folder / "volumes" / volume,
            device,
            Login(
                self._login, script_of(base64.b64decode(encoded).decode()).replace(NO_SIGNAL, "REDOX_SIGNAL_URL=''")
            ),
            # A host at AWS has its rights from its role; where AWS is, every machine knows.
            self.aws.environment,
        )

    def _take_images(self) -> None:
        """Copy the root disk of a host of which an image was made since the last look."""
        for image in self._ec2.describe_images(Owners=["self"])["Images"]:
            name, source = image["ImageId"], image.get("SourceInstanceId")
            if name not in self._images:
                self._images.add(name)
                disk = self.aws.hosts / str(source) / DISK
                if disk.exists():
                    copy = self._folder / "images" / name
                    shutil.copytree(disk, copy.with_suffix(".new"), symlinks=True)
                    copy.with_suffix(".new").rename(copy)


def _volume_of(instance: Mapping[str, Any]) -> str | None:
    """Return the id of the data volume that is attached to an instance, if one is."""
    for each in instance["BlockDeviceMappings"]:
        if each["DeviceName"] == DATA_DEVICE:
            return str(each["Ebs"]["VolumeId"])
    return None


def script_of(user_data: str) -> str:
    """Return the shell script of user data, alone or as a part among others, as cloud-init finds it."""
    if user_data.startswith("#!"):
        return user_data
    parts = [part for part in email.message_from_string(user_data).walk() if part.get_content_type() == SHELL_SCRIPT]
    return "".join(str(part.get_payload()) for part in parts)


@contextmanager
def hypervisor(aws: StandIn, login: str) -> Iterator[Hypervisor]:
    """Run one."""
    made = Hypervisor(aws, login)
    made.start()
    try:
        yield made
    finally:
        made.close()
