"""A host on this machine: processes in namespaces of their own behind a real sshd, ended as a whole by one kill.

`guest/boot.sh` says what it sees of this machine, `guest/init.py` is its first process. Needs Linux and root.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.settings import ROOT
from ops.simulator.records import CONSOLE, KEYS, HostRecord
from redox_balancer.errors import RedoxError

PROGRAMS = Path(__file__).parent / "guest"
SSHD = "/usr/sbin/sshd"
START_TIMEOUT_S = 30.0
DISK = "disk"  # what an image of the host takes along
DEVICE_BYTES = 16_000_000  # of the disk that stands for the data volume when it is looked at
PACKAGES = {
    SSHD: "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "bash": "bash",
    "curl": "curl",
    "mkfs.ext4": "e2fsprogs",
}
SBIN = "/usr/sbin:/sbin"
HOST_KEYS = "-----BEGIN SSH HOST KEY KEYS-----\r\n{}\r\n-----END SSH HOST KEY KEYS-----\r\n"


def namespaces() -> list[str]:
    """Return the command that runs another in namespaces of its own, which end with its first process."""
    # Whoever starts a host may be killed, too: no host outlives it. The clock of an idle host begins at its start.
    uptime_s = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    own = ["--mount", "--pid", "--uts", "--ipc", "--time", f"--boottime=-{uptime_s}"]
    ending = ["--fork", "--kill-child", "--propagation=private"]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *own, *ending]


def require() -> None:
    """Raise an error of one line where this machine cannot have a host on it."""
    if sys.platform != "linux":
        raise RedoxError("a host on this machine needs Linux", hint="try it in a virtual machine")
    # A user namespace is not enough: in one, nobody may write into a copy of what belongs to the machine's root.
    if os.geteuid():
        raise RedoxError(
            "a host on this machine needs root, whose file system it sees copied on write",
            hint="make setup, then: sudo .venv/bin/python -m ops demo",
        )
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    missing = {package for program, package in PACKAGES.items() if not shutil.which(program, path=path)}
    if missing:
        names = " ".join(sorted(missing))
        raise RedoxError(f"a host on this machine needs {names}", hint=f"apt-get install {names}")
    trial = subprocess.run(  # noqa: S603 - our own
        [*namespaces(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True, check=False
    )
    if trial.returncode:
        said = (trial.stderr.strip().splitlines() or [f"exit code {trial.returncode}"])[-1]
        raise RedoxError(
            f"this machine forbids namespaces: {said}", hint="in a container they take docker run --privileged"
        )


@dataclass(frozen=True)
class Login:
    """Who logs in there, and what the machine is told at its start."""

    user: str
    user_data: str = ""


@dataclass
class SimulatedHost:
    """A host that was started.

    Attributes
    ----------
    record
        How the AWS stand-in finds it.
    process
        Joins its end: exit code 0 when it was shut down.
    """

    record: HostRecord
    process: subprocess.Popen[bytes]

    @property
    def root(self) -> Path:
        """Its file system, seen from here; only root may look."""
        return Path(f"/proc/{self.record.pid}/root")

    @property
    def disk(self) -> Path:
        """What stays of its root disk."""
        return self.record.folder / DISK

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on it without SSH."""
        kinds = ["--mount", "--pid", "--uts", "--ipc", "--time", "--root", "--wd"]
        enter = ["nsenter", f"--target={self.record.pid}", *kinds]
        # The engine that it knows is its own, whatever engine whoever asks has.
        known = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER")}
        return subprocess.run(  # noqa: S603 - ours
            [*enter, *command], capture_output=True, text=True, check=False, env=known
        )

    def kill(self) -> None:
        """End it as a power failure does."""
        os.kill(self.record.pid, signal.SIGKILL)
        self.process.wait()

    def shut_down(self, patience_s: float) -> None:
        """Press its power button, and pull the plug if it takes too long."""
        if self.record.alive:
            os.kill(self.record.pid, signal.SIGTERM)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.kill()


def start(folder: Path, volume: Path, device: str, login: Login, environment: Mapping[str, str]) -> SimulatedHost:
    """Start a host; returns when its sshd answers.

    Parameters
    ----------
    folder
        Of this host, named by its instance id; what is left there of an earlier start is its root disk.
    volume
        Folder that is its data volume.
    device
        Name of the volume's device, as AWS gives it.
    login
        Who logs in, and the user data.
    environment
        What every process on it sees besides: where AWS is, for example.
    """
    _prepare(folder, volume, login)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "FOLDER": folder,
        "DATA": volume,
        "DEVICE": device,
        "PROGRAMS": PROGRAMS,
        "SEEN": " ".join(_seen(folder)),
        "LOGIN": login.user,
        "PORT": port,
        "PYTHON": Path(sys.executable).absolute(),
        "NAME": folder.name,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
    }
    with (folder / "boot.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own
            [*namespaces(), "bash", str(PROGRAMS / "boot.sh")],
            env={**environment, **{key: str(value) for key, value in variables.items()}},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return SimulatedHost(_wait(folder, port, process), process)


def _prepare(folder: Path, volume: Path, login: Login) -> None:
    for each in (folder / KEYS, folder / "work", folder / DISK, volume):
        each.mkdir(parents=True, exist_ok=True)
    (folder / KEYS / login.user).write_text("")
    (folder / "user-data").write_text(login.user_data)
    device = volume.with_name(f"{volume.name}.device")
    if not device.exists():
        with device.open("wb") as file:
            file.truncate(DEVICE_BYTES)
    key = folder / "host_key"
    if not key.exists():  # made at the first start of an instance, and written to its console
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{folder.name}", "-f", str(key)]
        subprocess.run(command, check=True)  # noqa: S603 - our own
        public = key.with_suffix(".pub").read_text().strip()
        (folder / CONSOLE).write_text(f"[    0.000000] Linux version 6.8\r\n{HOST_KEYS.format(public)}")


def _seen(folder: Path) -> list[str]:
    """Return the folders that are needed there; they may be mounts of their own, which a copy of / does not show."""
    wanted = [ROOT, Path(sys.prefix), Path(sys.base_prefix), folder.parents[1]]
    return [str(each.resolve()) for each in dict.fromkeys(wanted)]


def _wait(folder: Path, port: int, process: subprocess.Popen[bytes]) -> HostRecord:
    """Return the host's record once its sshd answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and time.monotonic() < deadline:
        if pids := children.read_text().split():
            record = HostRecord(folder, int(pids[0]), port)
            if record.online:
                record.write()
                return record
        time.sleep(0.02)
    process.kill()
    process.wait()
    said = (folder / "boot.log").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise RedoxError(f"a host on this machine does not start: {said[-1]}", hint=f"all of it is in {folder}/boot.log")
