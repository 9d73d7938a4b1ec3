"""A host behind a real sshd: this machine's own file system, copied on write, in a mount namespace of its own.

Paths on it are the true ones, and nothing that is written there reaches this machine. sudo, systemctl and docker are
small stand-ins, the gateway `aws ssm start-session` joins its ends with the sshd's port.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = "/usr/sbin/sshd"
START_TIMEOUT_S = 20.0
START = """\
set -e
mount -t tmpfs tmpfs {work}
mkdir {work}/upper {work}/work {work}/root
mount -t overlay overlay -o lowerdir=/,upperdir={work}/upper,workdir={work}/work {work}/root
mount --rbind /proc {work}/root/proc
mount --rbind /dev {work}/root/dev
for each in {state}; do mkdir -p {work}/root$each; mount --bind {work}/root$each {work}/root$each; done
cp {programs}/* {work}/root/usr/local/bin/
mkdir -p {work}/root/run/sshd {work}/root/etc/redox {work}/root/data/experiments {work}/root/run
cp {folder}/sshd_config {folder}/host_key {folder}/host_key.pub {work}/root/etc/ssh/
chmod 600 {work}/root/etc/ssh/host_key
exec chroot {work}/root {sshd} -D -e -f /etc/ssh/sshd_config
"""
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey /etc/ssh/host_key
PidFile none
AuthorizedKeysFile {authorized}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
AllowStreamLocalForwarding yes
MaxStartups 100
SetEnv PATH=/usr/local/bin:/usr/bin:/bin
"""
# Joins stdin and stdout with a port; what it is asked for is what AWS's own program would be.
GATEWAY = """\
#!{python} -I
import os, pathlib, select, socket, sys, time
assert sys.argv[1:3] == ["ssm", "start-session"] and "AWS-StartSSHSession" in sys.argv, sys.argv
mode = pathlib.Path({mode!r}).read_text()
if mode == "dead":
    sys.exit("An error occurred (TargetNotConnected) when calling the StartSession operation: not connected.")
if mode == "silent":
    time.sleep(60)
    sys.exit(0)
line = socket.create_connection(("127.0.0.1", {port}))
while True:
    ready, _, _ = select.select([0, line], [], [])
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            break
        line.sendall(data)
    if line in ready:
        data = line.recv(65536)
        if not data:
            break
        os.write(1, data)
"""
SUDO = """\
#!/bin/sh
[ "$1" != -n ] || shift
exec "$@"
"""


def why_not() -> str | None:
    """Say what this machine lacks for a host behind an sshd; None where nothing is missing."""
    if not hasattr(os, "geteuid") or os.geteuid():
        return "a host behind an sshd needs root on Linux"
    missing = [name for name in (SSHD, "ssh", "ssh-keygen", "unshare") if not shutil.which(name)]
    return f"a host behind an sshd needs {', '.join(missing)} (apt-get install openssh-server)" if missing else None


@dataclass
class SshHost:
    """A host that runs.

    Attributes
    ----------
    folder
        Where its settings lie here.
    port
        Of its sshd.
    process
        The sshd.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def public_key(self) -> str:
        """The key of the host, as cloud-init writes it to the console."""
        return (self.folder / "host_key.pub").read_text().strip()

    @property
    def console(self) -> str:
        """What the console says at a first start."""
        lines = f"-----BEGIN SSH HOST KEY KEYS-----\r\n{self.public_key}\r\n-----END SSH HOST KEY KEYS-----\r\n"
        return f"[    0.000000] Linux version 6.8\r\nci-info: no authorized ssh keys\r\n{lines}"

    @property
    def root(self) -> Path:
        """Its file system, seen from here."""
        return Path(f"/proc/{self.process.pid}/root")

    @property
    def environment(self) -> dict[str, str]:
        """Where the gateway is found."""
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def gateway(self, mode: str) -> None:
        """Have the gateway work, be dead or be silent."""
        (self.folder / "gateway").write_text(mode)

    def admit(self, public_key: str) -> None:
        """Let a key in, as EC2 Instance Connect does."""
        with (self.folder / "authorized_keys").open("a") as file:
            file.write(public_key.rstrip() + "\n")

    def refuse_all(self) -> None:
        """Let nobody in."""
        (self.folder / "authorized_keys").write_text("")

    def program(self, name: str, text: str) -> None:
        """Put a program on the host's PATH."""
        path = self.root / "usr/local/bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, command: str) -> str:
        """Run a command there without SSH."""
        enter = ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", f"--root={self.root}", "--wd=/"]
        answer = subprocess.run([*enter, "sh", "-c", command], capture_output=True, text=True, check=True)
        return answer.stdout

    def cut(self) -> None:
        """Break every connection off; the sshd itself goes on."""
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                os.kill(int(status.parent.name), signal.SIGKILL)


@contextmanager
def ssh_host(folder: Path) -> Iterator[SshHost]:
    """Run a host."""
    folder.mkdir(parents=True, exist_ok=True)
    programs, client = folder / "programs", folder / "bin"
    work = folder / "work"
    for each in (programs, client, work):
        each.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@ip-10-0-0-7", "-f", folder / "host_key"],
        check=True,
    )
    authorized = folder / "authorized_keys"
    authorized.touch()
    (folder / "gateway").write_text("works")
    (folder / "sshd_config").write_text(CONFIG.format(port=port, authorized=authorized))
    _write(client / "aws", GATEWAY.format(python=sys.executable, mode=str(folder / "gateway"), port=port))
    _write(client / "session-manager-plugin", "#!/bin/sh\n")
    _write(programs / "sudo", SUDO)
    start = START.format(work=work, programs=programs, folder=folder, sshd=SSHD, state="/etc/redox /data")
    with (folder / "sshd.log").open("w") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", start], stdout=log, stderr=log
        )
    host = SshHost(folder, port, process)
    try:
        _wait(host)
        yield host
    finally:
        host.cut()
        process.kill()
        process.wait()


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _wait(host: SshHost) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while host.process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", host.port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the host does not start: {(host.folder / 'sshd.log').read_text()}")
