"""How the host is entered: one generated ssh_config for Fabric, for `ssh` itself and for what it forwards.

The way in is Systems Manager, the key is the settings' or one that EC2 Instance Connect takes for a minute, and the
keys of the host come from AWS, never from whoever answers: nothing of ~/.ssh/config or its known hosts is used.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically

if TYPE_CHECKING:
    from ops.session import Session

CONNECT_TIMEOUT_S = 20
GATEWAY = "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p --region"
# cloud-init writes them to the console at the first start of an instance.
HOST_KEYS = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
HOST_KEY = re.compile(r"\b((?:ssh-ed25519|ecdsa-sha2-\S+|ssh-rsa) [A-Za-z0-9+/]+=*)")
CONFIG = """\
# Made anew by python -m ops at each connection; in a shell: ssh -F {config} {host}
Host {host}
    User {user}
    Port 22
    ProxyCommand {gateway}
    ConnectTimeout {timeout}
    ServerAliveInterval 15
    ServerAliveCountMax 4
    StrictHostKeyChecking yes
    UserKnownHostsFile "{known_hosts}"
    GlobalKnownHostsFile /dev/null
    UpdateHostKeys no
    ForwardAgent no
    BatchMode yes
"""
WITH_KEY = """\
    IdentityFile "{key}"
    IdentitiesOnly yes
"""


@dataclass(frozen=True)
class Access:
    """The way to a host.

    Attributes
    ----------
    host
        Its instance id, which is also its name in the generated files.
    user
        Who logs in there.
    folder
        Where the generated files lie.
    key
        The private key; None where the user's agent has it.
    gateway
        The command that joins its stdin and stdout with the host's sshd.
    """

    host: str
    user: str
    folder: Path
    key: Path | None
    gateway: tuple[str, ...]

    @property
    def config(self) -> Path:
        """The ssh_config."""
        return self.folder / "config"

    @property
    def known_hosts(self) -> Path:
        """The keys of the host."""
        return self.folder / "known_hosts"

    def ssh(self, *arguments: str) -> list[str]:
        """Return the command line of `ssh` to the host; what follows the host's name follows it here."""
        options = [argument for argument in arguments if argument.startswith("-")]
        rest = [argument for argument in arguments if not argument.startswith("-")]
        return ["ssh", "-F", str(self.config), *options, self.host, *rest]


def prepare(session: Session) -> Access:
    """Write what `ssh` needs, and have the host take our key; once for each connection, since it takes it briefly."""
    host, settings = session.host, session.settings.host
    folder = platformdirs.user_cache_path("redox_balancer") / "hosts" / host
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    region = session.settings.aws.region
    access = Access(
        host=host,
        user=settings.ssh_user,
        folder=folder,
        key=_own_key(settings.ssh_public_key) if settings.ssh_public_key else _fresh_key(folder),
        gateway=tuple(f"{GATEWAY} {region}".replace("%h", host).replace("%p", "22").split()),
    )
    if not access.known_hosts.exists():
        write_atomically(access.known_hosts, _known_hosts(session).encode())
    text = CONFIG.format(
        config=access.config,
        host=host,
        user=access.user,
        gateway=shlex.join(access.gateway),
        timeout=CONNECT_TIMEOUT_S,
        known_hosts=access.known_hosts,
    )
    write_atomically(access.config, (text + (WITH_KEY.format(key=access.key) if access.key else "")).encode())
    if not settings.ssh_public_key:
        _admit(session, access)
    return access


def host_keys(console: str) -> list[str]:
    """Return the keys that cloud-init wrote to a console, those of the newest start that told them."""
    blocks: list[str] = HOST_KEYS.findall(console)
    return list(dict.fromkeys(HOST_KEY.findall(blocks[-1]))) if blocks else []


def _known_hosts(session: Session) -> str:
    """Return the lines of known_hosts, from AWS.

    The console tells the keys at an instance's first start only; later Systems Manager asks the host itself.
    """
    answer = session.client("ec2").get_console_output(InstanceId=session.host)
    keys = host_keys(answer.get("Output", "")) or _asked_for(session)
    if not keys:
        raise RedoxError(
            f"{session.host} is an unknown host: neither its console nor Systems Manager tells its keys",
            hint="within minutes of its first start that is normal: try again; "
            f"aws ec2 get-console-output --latest --instance-id {session.host} shows how far it is",
        )
    return "".join(f"{session.host} {key}\n" for key in keys)


def _asked_for(session: Session) -> list[str]:
    if session.dry_run:
        return []
    ssm = session.client("ssm")
    asked = ssm.send_command(
        InstanceIds=[session.host],
        DocumentName="AWS-RunShellScript",
        Comment="redox_balancer: keys of the host",
        Parameters={"commands": ["cat /etc/ssh/ssh_host_*_key.pub"]},
    )["Command"]
    which = {"CommandId": asked["CommandId"], "InstanceId": session.host}
    ssm.get_waiter("command_executed").wait(**which, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return HOST_KEY.findall(ssm.get_command_invocation(**which)["StandardOutputContent"])


def _own_key(public: str) -> Path | None:
    """Return the file of the private key that belongs to the settings' public one; None leaves it to the agent."""
    wanted = public.split()[:2]
    for path in sorted((Path.home() / ".ssh").glob("*.pub")):
        if path.read_text(errors="replace").split()[:2] == wanted and path.with_suffix("").exists():
            return path.with_suffix("")
    return None


def _fresh_key(folder: Path) -> Path:
    """Return a key of this host's own; by itself it opens nothing, since the host takes it for a minute at a time."""
    path = folder / "key"
    if not path.exists():
        from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - only a first visit needs it
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
        private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
        write_atomically(folder / "key.pub", public + b" redox_balancer\n")
        path.touch(mode=0o600)
        path.write_bytes(private)
    return path


def _admit(session: Session, access: Access) -> None:
    """Send our key through EC2 Instance Connect; it opens the host for 60 s."""
    connect: Any = session.client("ec2-instance-connect")
    connect.send_ssh_public_key(
        InstanceId=access.host,
        InstanceOSUser=access.user,
        SSHPublicKey=(access.folder / "key.pub").read_text(),
    )
