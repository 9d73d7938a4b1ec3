"""SSH access to the host: a generated ssh_config for `ssh`, and what its failures mean.

The transport is Systems Manager. The key is that of the settings, or one that EC2 Instance Connect admits for one
minute. The host keys come from AWS and not from the connection. `~/.ssh/config` and its known hosts are not used.
"""

import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from infra.deployed import run_on_host
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically

CONNECT_TIMEOUT_S = 20
KEYS_TIMEOUT_S = 30
FAILED = 255  # exit code of ssh itself
SOCKET_ROOM = 60  # characters of a folder that leave room for a socket: its path has 103 on macOS, and ssh adds 17
# Lines of ssh's own about a gateway that has closed its pipe.
OWN_LINES = re.compile(r"(kex_exchange_identification|ssh_dispatch_run_fatal|banner exchange|Connection )")
GATEWAY = (
    *("aws", "ssm", "start-session", "--target", "{host}", "--region", "{region}"),
    *("--document-name", "AWS-StartSSHSession", "--parameters", "portNumber=22"),
)
# cloud-init writes them to the console at the first start of an instance.
HOST_KEYS = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
HOST_KEY = re.compile(r"\b((?:ssh-ed25519|ecdsa-sha2-\S+|ssh-rsa) [A-Za-z0-9+/]+=*)")
CONFIG = """\
# Rewritten by python -m ops for each connection. In a shell: ssh -F {config} {host}
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


def socket_folder() -> "tempfile.TemporaryDirectory[str]":
    """A new folder for a socket, removed at its end: not in a TMPDIR whose path is too long for one."""
    fits = len(tempfile.gettempdir()) <= SOCKET_ROOM
    return tempfile.TemporaryDirectory(prefix="redox-", dir=None if fits else "/tmp")  # noqa: S108 - a new folder


@dataclass(frozen=True)
class Access:
    """How to reach a host over SSH."""

    host: str  # its instance id, which is also its name in the generated files
    user: str  # to log in as
    folder: Path  # of the generated files
    key: Path | None  # the private key; None if the user's agent holds it
    gateway: tuple[str, ...]  # the command that connects its stdin and stdout to the host's sshd

    @property
    def config(self) -> Path:
        """The ssh_config."""
        return self.folder / "config"

    @property
    def known_hosts(self) -> Path:
        """The keys of the host."""
        return self.folder / "known_hosts"

    def ssh(self, *options: str, command: str = "", program: Sequence[str] = ("ssh",)) -> list[str]:
        """Return the `ssh` command line to the host with a command for its shell, empty for an interactive one.

        `program` is ssh, perhaps with options that those of the file must not override.
        """
        # After "--", because ssh takes options behind the name of the host, too.
        return [*program, "-F", str(self.config), *options, self.host, *(["--", command] if command else [])]


def prepare(session: Session) -> Access:
    """Write the files that `ssh` needs and have the host admit our key, which it does for one minute only."""
    host, settings = session.instance_id, session.settings.host
    folder = platformdirs.user_cache_path("redox_balancer") / "hosts" / host
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    access = Access(
        host=host,
        user=settings.ssh_user,
        folder=folder,
        key=_own_key(settings.ssh_public_key) if settings.ssh_public_key else _generated_key(folder),
        gateway=tuple(word.format(host=host, region=session.settings.aws.region) for word in GATEWAY),
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
        public = (folder / "key.pub").read_text()
        connect = session.client("ec2-instance-connect")
        connect.send_ssh_public_key(InstanceId=host, InstanceOSUser=access.user, SSHPublicKey=public)
    return access


def failure(access: Access, said: str) -> RedoxError:
    """Return the error of an `ssh` that did not connect, from what it and its gateway wrote to stderr."""
    host = access.host
    if "IDENTIFICATION HAS CHANGED" in said:
        return RedoxError(
            f"{host} has another key than before: the connection may be intercepted",
            hint=f"if you changed its keys yourself, remove {access.known_hosts} and try again",
        )
    if "Host key verification failed" in said:
        return RedoxError(
            f"{host} is an unknown host: none of its keys is known here",
            hint="was it replaced? the same command again finds the new one",
        )
    if "Permission denied" in said:
        return RedoxError(f"{host} refuses the key of {access.user}", hint=_key_hint(access))
    if of_gateway := [line for line in said.splitlines() if line.strip() and not OWN_LINES.match(line)]:
        return RedoxError(
            f"the gateway to {host} has died: {of_gateway[-1]}", hint=f"run it by hand: {shlex.join(access.gateway)}"
        )
    return RedoxError(
        f"{host} does not answer within {CONNECT_TIMEOUT_S} s: {' | '.join(said.split(chr(10))).strip(' |')}",
        hint="is its sshd running? python -m ops status; a reboot may help: aws ec2 reboot-instances",
    )


def _key_hint(access: Access) -> str:
    if access.key is not None and access.key.parent == access.folder:
        return "the AMI needs ec2-instance-connect; or set host.ssh_public_key in deploy.toml, then make apply"
    return (
        "host.ssh_public_key of deploy.toml is not your key, or not on the host yet: make apply; "
        "ssh-add -L shows the keys of your agent"
    )


def host_keys(console: str) -> list[str]:
    """Return the host keys in a console's output, those of the newest block."""
    blocks: list[str] = HOST_KEYS.findall(console)
    return list(dict.fromkeys(HOST_KEY.findall(blocks[-1]))) if blocks else []


def _known_hosts(session: Session) -> str:
    """Return the lines of known_hosts, from AWS.

    The console shows the keys at an instance's first start only; later they are read through Systems Manager.
    """
    host = session.instance_id
    answer = session.client("ec2").get_console_output(InstanceId=host)
    keys = host_keys(answer.get("Output", "")) or _keys_from_systems_manager(session)
    if not keys:
        raise RedoxError(
            f"{host} is an unknown host: neither its console nor Systems Manager shows its keys",
            hint="normal in the first minutes after its first start: try again; "
            f"aws ec2 get-console-output --latest --instance-id {host} shows its progress",
        )
    return "".join(f"{host} {key}\n" for key in keys)


def _keys_from_systems_manager(session: Session) -> list[str]:
    if session.dry_run:
        return []
    commands = ["cat /etc/ssh/ssh_host_*_key.pub"]
    ssm = session.client("ssm")
    answer = run_on_host(ssm, session.instance_id, commands, "keys of the host", timeout_s=KEYS_TIMEOUT_S)
    return HOST_KEY.findall(answer["StandardOutputContent"])


def _own_key(public: str) -> Path | None:
    """Return the file of the private key for the settings' public key; None leaves it to the user's agent."""
    wanted = public.split()[:2]  # without the comment
    for path in sorted((Path.home() / ".ssh").glob("*.pub")):
        if path.read_text(errors="replace").split()[:2] == wanted and path.with_suffix("").exists():
            return path.with_suffix("")
    return None


def _generated_key(folder: Path) -> Path:
    """Return a key for this host alone. By itself it opens nothing: the host admits it for one minute at a time."""
    path = folder / "key"
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "redox_balancer", "-f", str(path)]
        subprocess.run(command, check=True)  # noqa: S603 - our own arguments
    return path
