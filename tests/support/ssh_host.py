"""A simulated host whose gateway can be dead or silent and whose connections can be cut."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.settings import load
from ops.simulator import gateway, host
from ops.simulator.host import Login, SimulatedHost
from redox_balancer.errors import RedoxError

USER = load().host.ssh_user
# Wraps the stand-in for the AWS CLI.
MODES = """\
#!/bin/sh
case $(cat {mode}) in
dead) echo "An error occurred (TargetNotConnected) when calling the StartSession operation" >&2; exit 254 ;;
silent) exec sleep 60 ;;
esac
exec {aws} "$@"
"""


def why_not() -> str | None:
    """Return why this machine cannot run a simulated host; None if it can."""
    try:
        host.require()
    except RedoxError as error:
        return f"{error.message} ({error.hint})"
    return None


@dataclass
class SshHost:
    """A running host, and the folder of its deployment."""

    folder: Path
    host: SimulatedHost

    @property
    def public_key(self) -> str:
        """The host key, as cloud-init writes it to the console."""
        return (self.host.record.folder / "host_key.pub").read_text().strip()

    @property
    def console(self) -> str:
        """The console output of a first start."""
        return (self.host.record.folder / "console").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which the gateway is found."""
        return {"PATH": f"{self.folder / 'front'}:{self.folder / 'bin'}:{os.environ['PATH']}"}

    def gateway(self, mode: str) -> None:
        """Set the gateway: `works`, `dead` or `silent`."""
        (self.folder / "mode").write_text(mode)

    def admit(self, public_key: str) -> None:
        """Authorize a key, as EC2 Instance Connect does."""
        self.host.record.admit(USER, public_key, 60.0)

    def refuse_all(self) -> None:
        """Authorize no key."""
        (self.host.record.folder / "authorized_keys" / USER).write_text("")

    def run(self, command: str) -> str:
        """Run a command on the host as root, without SSH."""
        answer = self.host.run("sh", "-c", command)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def program(self, name: str, text: str) -> None:
        """Install a program where units and users find it."""
        for folder in ("usr/local/sbin", "usr/bin"):
            path = self.host.root / folder / name
            path.unlink(missing_ok=True)  # it may be a link to a file of this machine
            path.write_text(text)
            path.chmod(0o755)

    def cut(self) -> None:
        """Cut every connection; the sshd itself keeps running."""
        self.host.run("sh", "-c", "pkill -KILL -P $(pgrep -o -x sshd)")


@contextmanager
def ssh_host(folder: Path, instance_id: str) -> Iterator[SshHost]:
    """Run a simulated host."""
    hosts = folder / "hosts"
    hosts.mkdir()
    gateway.install(folder / "bin", hosts)
    front = folder / "front" / "aws"
    front.parent.mkdir()
    front.write_text(MODES.format(mode=folder / "mode", aws=folder / "bin" / "aws"))
    front.chmod(0o755)
    (folder / "mode").write_text("works")
    made = host.start(hosts / instance_id, Login(USER), {})
    try:
        made.run("touch", "/var/log/lastlog")  # else sshd prints a warning
        yield SshHost(folder, made)
    finally:
        made.kill()
