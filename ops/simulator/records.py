"""Records of the simulated hosts, one folder each, which simulated AWS and the gateway read.

The hypervisor writes `host.json`, the console output and the host key; simulated AWS adds authorized keys.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redox_balancer.files import write_atomically

HOSTS = "REDOX_STAND_IN_HOSTS"  # environment variable with the folder of all hosts
RECORD, CONSOLE, KEYS = "host.json", "console", "authorized_keys"


@dataclass(frozen=True)
class HostRecord:
    """A started host."""

    folder: Path  # named by the instance id
    pid: int  # of its first process; everything on the host ends with it
    port: int  # of its sshd on the loopback interface

    @property
    def instance_id(self) -> str:
        """The instance id."""
        return self.folder.name

    @property
    def alive(self) -> bool:
        """Whether its first process is alive; a zombie is dead."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    @property
    def online(self) -> bool:
        """Whether its sshd accepts connections."""
        with socket.socket() as trial:
            return self.alive and trial.connect_ex(("127.0.0.1", self.port)) == 0

    def admit(self, user: str, public_key: str, seconds: float) -> None:
        """Authorize a key for a while, as EC2 Instance Connect does; sshd itself enforces the time."""
        # In local time, because sshd before 9.1 reads no other; in whole seconds, rounded up.
        until = time.strftime("%Y%m%d%H%M%S", time.localtime(time.time() + seconds + 1))
        with (self.folder / KEYS / user).open("a") as file:
            file.write(f'expiry-time="{until}" {public_key.strip()}\n')

    def write(self) -> None:
        """Publish the record."""
        write_atomically(self.folder / RECORD, json.dumps({"pid": self.pid, "port": self.port}).encode())


def records() -> Iterator[HostRecord]:
    """Yield the records of all started hosts."""
    for path in sorted(Path(os.environ[HOSTS]).glob(f"*/{RECORD}")):
        yield HostRecord(path.parent, **json.loads(path.read_text()))


def console_of(instance_id: str) -> str:
    """Return the console output of an instance; empty if there is none yet."""
    path = Path(os.environ[HOSTS], instance_id, CONSOLE)
    return path.read_text() if path.exists() else ""
