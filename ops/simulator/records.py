"""What is known of a host on this machine: a folder, by which the AWS stand-in and the way in find it.

The hypervisor writes `host.json`, its console and its keys; the stand-in reads them and adds whom it lets in.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redox_balancer.files import write_atomically

HOSTS = "REDOX_STAND_IN_HOSTS"  # variable that names the folder of all hosts
RECORD, CONSOLE, KEYS = "host.json", "console", "authorized_keys"


@dataclass(frozen=True)
class HostRecord:
    """A host that was started.

    Attributes
    ----------
    folder
        Its folder, named by the instance id.
    pid
        Its first process: whatever runs on the host ends with it.
    port
        Of its sshd, on the loopback.
    """

    folder: Path
    pid: int
    port: int

    @property
    def instance_id(self) -> str:
        """The instance id."""
        return self.folder.name

    @property
    def alive(self) -> bool:
        """Whether its first process lives; a zombie waits to be seen dead."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    @property
    def online(self) -> bool:
        """Whether its sshd takes connections."""
        with socket.socket() as trial:
            return self.alive and trial.connect_ex(("127.0.0.1", self.port)) == 0

    def admit(self, user: str, public_key: str, seconds: float) -> None:
        """Let a key in for a while, as EC2 Instance Connect does; sshd itself watches the time."""
        # In local time, as sshd before 9.1 takes no other; whole seconds, rounded up.
        until = time.strftime("%Y%m%d%H%M%S", time.localtime(time.time() + seconds + 1))
        with (self.folder / KEYS / user).open("a") as file:
            file.write(f'expiry-time="{until}" {public_key.strip()}\n')

    def write(self) -> None:
        """Make it known."""
        write_atomically(self.folder / RECORD, json.dumps({"pid": self.pid, "port": self.port}).encode())


def folder_of_hosts() -> Path:
    """Return the folder that the environment names."""
    return Path(os.environ[HOSTS])


def records(hosts: Path | None = None) -> Iterator[HostRecord]:
    """Give what is known of every host that was started."""
    for path in sorted((hosts or folder_of_hosts()).glob(f"*/{RECORD}")):
        yield HostRecord(path.parent, **json.loads(path.read_text()))


def console_of(instance_id: str) -> str:
    """Return what a console says; empty where the instance has not said anything yet."""
    path = folder_of_hosts() / instance_id / CONSOLE
    return path.read_text() if path.exists() else ""
