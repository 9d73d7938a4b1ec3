"""A simulated host: processes in namespaces of their own behind a real sshd, all ended by one kill.

`guest/boot.sh` sets up its file system, `guest/init.py` is its first process. Needs Linux and root.
"""

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
POLL_S = 0.02
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # of a simulated host
DISK = "disk"  # the part of the root disk that an image of the host contains, /data included
PACKAGES = {
    SSHD: "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "bash": "bash",
}
SBIN = "/usr/sbin:/sbin"
HOST_KEYS = "-----BEGIN SSH HOST KEY KEYS-----\r\n{}\r\n-----END SSH HOST KEY KEYS-----\r\n"


def namespaces() -> list[str]:
    """Return the command that runs another one in namespaces of its own, which end with its first process."""
    # If the process that starts a host is killed, so is the host. Its uptime counts from its start.
    uptime_s = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    own = ["--mount", "--pid", "--uts", "--ipc", "--time", f"--boottime=-{uptime_s}"]
    ending = ["--fork", "--kill-child", "--propagation=private"]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *own, *ending]


def require() -> None:
    """Raise a RedoxError if this machine cannot run a simulated host."""
    if sys.platform != "linux":
        raise RedoxError("a simulated host needs Linux", hint="use a virtual machine")
    # A user namespace is not enough: within one, files of the machine's root cannot be copied on write.
    if os.geteuid():
        raise RedoxError(
            "a simulated host needs root, because it sees this machine's file system copied on write",
            hint="make setup, then: sudo .venv/bin/python -m ops demo",
        )
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    missing = {package for program, package in PACKAGES.items() if not shutil.which(program, path=path)}
    if missing:
        names = " ".join(sorted(missing))
        raise RedoxError(f"a simulated host needs {names}", hint=f"apt-get install {names}")
    trial = subprocess.run(  # noqa: S603 - our own
        [*namespaces(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True, check=False
    )
    if trial.returncode:
        output = (trial.stderr.strip().splitlines() or [f"exit code {trial.returncode}"])[-1]
        raise RedoxError(
            f"this machine forbids namespaces: {output}", hint="in a container, they need docker run --privileged"
        )


@dataclass(frozen=True)
class Login:
    """The login user of a host, and its user data."""

    user: str
    user_data: str = ""


@dataclass
class SimulatedHost:
    """A started host."""

    record: HostRecord  # by which simulated AWS finds it
    process: subprocess.Popen[bytes]  # waits for its end: exit code 0 after a shutdown

    @property
    def root(self) -> Path:
        """Its file system as this machine sees it; readable by root only."""
        return Path(f"/proc/{self.record.pid}/root")

    @property
    def disk(self) -> Path:
        """The persistent part of its root disk."""
        return self.record.folder / DISK

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on it, without SSH."""
        kinds = ["--mount", "--pid", "--uts", "--ipc", "--time", "--root", "--wd"]
        enter = ["nsenter", f"--target={self.record.pid}", *kinds]
        # Its own engine and programs are meant, whatever the caller uses.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER")}
        environment["PATH"] = PATH
        return subprocess.run(  # noqa: S603 - ours
            [*enter, *command], capture_output=True, text=True, check=False, env=environment
        )

    def kill(self) -> None:
        """End it like a power failure."""
        os.kill(self.record.pid, signal.SIGKILL)
        self.process.wait()

    def shut_down(self, patience_s: float) -> None:
        """Press its power button, and cut the power if the shutdown takes too long."""
        if self.record.alive:
            os.kill(self.record.pid, signal.SIGTERM)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.kill()


def start(folder: Path, login: Login, environment: Mapping[str, str]) -> SimulatedHost:
    """Start a host, and return once its sshd accepts connections.

    `folder`, named by the instance id, keeps the root disk between two starts. `environment` is further environment
    of all its processes, such as the address of simulated AWS.
    """
    _prepare(folder, login)
    port = free_port()
    variables = {
        "FOLDER": folder,
        "PROGRAMS": PROGRAMS,
        "CLONE": ROOT,
        "SHARED": "\n".join(_shared_folders(folder)),
        "LOGIN": login.user,
        "PORT": port,
        "PYTHON": Path(sys.executable).absolute(),
        "NAME": folder.name,
        "PATH": PATH,
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


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _prepare(folder: Path, login: Login) -> None:
    for each in (folder / KEYS, folder / "work", folder / DISK):
        each.mkdir(parents=True, exist_ok=True)
    (folder / KEYS / login.user).write_text("")
    (folder / "user-data").write_text(login.user_data or "#!/bin/sh\n")
    (folder / "user-data").chmod(0o755)
    key = folder / "host_key"
    if not key.exists():  # generated at the first start of an instance, and written to its console
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{folder.name}", "-f", str(key)]
        subprocess.run(command, check=True)  # noqa: S603 - our own
        public = key.with_suffix(".pub").read_text().strip()
        (folder / CONSOLE).write_text(f"[    0.000000] Linux version 6.8\r\n{HOST_KEYS.format(public)}")


def _shared_folders(folder: Path) -> list[str]:
    """Return the folders that a host needs; they may be separate mounts, which an overlay of / does not show."""
    wanted = [ROOT, Path(sys.prefix), folder.parents[1]]
    python = Path(sys.base_prefix)
    if python.stat().st_dev != Path("/").stat().st_dev:
        wanted.append(python)  # else the overlay shows it; /usr must not be shared, for a host writes to /usr/local
    return [str(each.resolve()) for each in dict.fromkeys(wanted)]


def _wait(folder: Path, port: int, process: subprocess.Popen[bytes]) -> HostRecord:
    """Return the record of the host once its sshd accepts connections."""
    deadline = time.monotonic() + START_TIMEOUT_S
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and time.monotonic() < deadline:
        if pids := children.read_text().split():
            record = HostRecord(folder, int(pids[0]), port)
            if record.online:
                record.write()
                return record
        time.sleep(POLL_S)
    process.kill()
    process.wait()
    log = (folder / "boot.log").read_text(errors="replace").strip().splitlines() or ["no output"]
    raise RedoxError(f"the simulated host does not start: {log[-1]}", hint=f"see {folder}/boot.log")
