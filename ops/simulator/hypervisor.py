"""Runs a simulated host for each running instance of simulated AWS, and ends it with its instance.

Simulated AWS is polled, as it sends no events. A host that ends by itself was shut down, and its instance becomes
stopped, or terminated in a group; a killed host stays dead while its instance stays running, like a machine without
power, and fails the status checks of its group.
"""

import base64
import email
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from ops.simulator import gateway, host
from ops.simulator.aws import StandIn
from ops.simulator.host import DISK, Login, SimulatedHost
from ops.simulator.permissions import HOST

POLL_S = 0.3
PATIENCE_S = 150.0  # for a start and for a shutdown
SHELL_SCRIPTS = ("text/x-shellscript", "text/x-shellscript-per-boot")
GROUP_TAG = "aws:autoscaling:groupName"


class Hypervisor:
    """The hosts of simulated AWS; `login` is their login user."""

    def __init__(self, aws: StandIn, login: str) -> None:
        self.aws, self._login = aws, login
        self._folder = aws.hosts.parent
        self._ec2, self._autoscaling = aws.client("ec2"), aws.client("autoscaling")
        self._hosts: dict[str, SimulatedHost] = {}
        self._images: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll_until_closed, name="hypervisor")
        self.problem: Exception | None = None
        self._polled = threading.Condition()
        aws.hosts.mkdir(parents=True, exist_ok=True)
        gateway.install(self.programs, aws.hosts)

    @property
    def programs(self) -> Path:
        """Folder for the user's PATH, with the stand-in for the AWS CLI."""
        return self._folder / "bin"

    def host(self, instance_id: str) -> SimulatedHost:
        """Return the host of an instance, once it is running."""
        with self._polled:
            up = self._polled.wait_for(lambda: self.problem or instance_id in self._hosts, PATIENCE_S)
        if self.problem:
            raise self.problem
        if not up:
            raise TimeoutError(f"{instance_id} has no host")
        return self._hosts[instance_id]

    def zone(self, instance_id: str) -> str:
        """Return the availability zone of an instance."""
        found = self._ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        return str(found["Placement"]["AvailabilityZone"])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill all hosts: none outlives the hypervisor."""
        self._stopped.set()
        self._thread.join()
        for each in self._hosts.values():
            if each.record.alive:
                each.kill()

    def _poll_until_closed(self) -> None:
        while not self._stopped.wait(POLL_S):
            try:
                self.poll()
            except Exception as error:  # noqa: BLE001 - raised again by `host`
                self.problem = error
            with self._polled:
                self._polled.notify_all()
            if self.problem:
                return

    def poll(self) -> None:
        """Start and end hosts according to the instances."""
        self._take_images()
        self._autoscaling.describe_auto_scaling_groups()  # brings them up to date
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
                in_group = any(tag["Key"] == GROUP_TAG for tag in instances[name].get("Tags", ()))
                if code == 0:  # it shut itself down
                    end = self._ec2.terminate_instances if in_group else self._ec2.stop_instances
                    end(InstanceIds=[name])
                    del self._hosts[name]
                elif in_group:
                    self._autoscaling.set_instance_health(InstanceId=name, HealthStatus="Unhealthy")
            elif state != "running":
                running.shut_down(PATIENCE_S)
                del self._hosts[name]
                if state in ("terminated", "shutting-down"):
                    shutil.rmtree(running.disk, ignore_errors=True)
        for name, instance in instances.items():
            if instance["State"]["Name"] == "running" and name not in self._hosts:
                self._hosts[name] = self._start(name, instance)

    def _start(self, name: str, instance: Mapping[str, Any]) -> SimulatedHost:
        folder = self.aws.hosts / name
        image = self._folder / "images" / instance["ImageId"]
        if not (folder / DISK).exists() and image.exists():
            shutil.copytree(image, folder / DISK, symlinks=True)
        answer = self._ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")
        user_data = base64.b64decode(answer["UserData"].get("Value", "")).decode()
        # The address of simulated AWS, and credentials that its metadata service gives out.
        environment = self.aws.environment | {"AWS_ACCESS_KEY_ID": HOST}
        return host.start(folder, Login(self._login, script_of(user_data)), environment)

    def _take_images(self) -> None:
        """Copy the root disk of each host of which an image was made since the last poll."""
        for image in self._ec2.describe_images(Owners=["self"])["Images"]:
            name, source = image["ImageId"], image.get("SourceInstanceId")
            if name not in self._images:
                self._images.add(name)
                disk = self.aws.hosts / str(source) / DISK
                if disk.exists():
                    copy = self._folder / "images" / name
                    shutil.copytree(disk, copy.with_suffix(".new"), symlinks=True)
                    copy.with_suffix(".new").rename(copy)


def script_of(user_data: str) -> str:
    """Return the shell script in user data, which may be one part of several, as cloud-init finds it."""
    if user_data.startswith("#!"):
        return user_data
    parts = [part for part in email.message_from_string(user_data).walk() if part.get_content_type() in SHELL_SCRIPTS]
    return "".join(str(part.get_payload()) for part in parts)
