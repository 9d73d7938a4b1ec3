"""The host, over SSH: commands, small programs, files, and ports that are forwarded."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self

import fabric
import paramiko
from invoke.exceptions import CommandTimedOut, ThreadException

from ops.remote import ssh
from ops.remote.ssh import Access
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from ops.session import Session

COMMAND_TIMEOUT_S = 120.0
LAST_LINES = 5
FORWARD_TIMEOUT_S = 30.0
AGAIN = "the same command again goes on"
FULL = "No space left on device"


class RemoteError(RedoxError):
    """A command on the host failed.

    Parameters
    ----------
    host
        Its instance id.
    command
        What ran there.
    exit_code
        How it ended.
    said
        What it wrote.
    """

    def __init__(self, host: str, command: str, exit_code: int, said: str) -> None:
        self.remote_exit_code, self.said = exit_code, said.strip()
        last = " | ".join(self.said.splitlines()[-LAST_LINES:]) or "it said nothing"
        hint = "look around there: python -m ops shell"
        if FULL in said:
            hint = "a disk there is full: df -h in python -m ops shell says which; docker system prune frees images"
        super().__init__(f"{host}: {command} ended with exit code {exit_code}: {last}", hint=hint)


class _Refuse(paramiko.RejectPolicy):  # type: ignore[misc]  # it has no types
    def missing_host_key(self, client: Any, hostname: str, key: Any) -> NoReturn:  # noqa: ARG002 - paramiko calls it
        raise RedoxError(
            f"{hostname} is an unknown host: none of its keys is known here", hint="make restore gives a host anew"
        )


class Gateway:
    """The process that reaches the host's sshd, and our end of it.

    A socket and not paramiko's ProxyCommand, which loops for ever when its process ends; and a session of its own, so
    that a Ctrl-C is ours alone to deal with.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        self.socket, theirs = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - made in ops.remote.ssh
                    command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._said,
                    start_new_session=True,
                )
        except OSError as error:
            self.socket.close()
            raise RedoxError(
                f"{command[0]} cannot be started: {error.strerror}", hint="install the AWS CLI"
            ) from error

    def why_ended(self, patience_s: float = 1.0) -> str | None:
        """Return what it said last where it ended, None where it still runs."""
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"

    def close(self) -> None:
        """End it."""
        self.socket.close()
        self._process.terminate()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()


class RemoteHost:
    """A host that we are connected to.

    Parameters
    ----------
    connection
        Fabric's, open.
    access
        How it was reached.
    dry_run
        Whether only what reads may run there.
    """

    def __init__(self, connection: fabric.Connection, access: Access, *, dry_run: bool) -> None:
        self._connection, self.access, self._dry_run = connection, access, dry_run

    @property
    def name(self) -> str:
        """Its instance id."""
        return self.access.host

    def run(self, command: str, *, reads: bool = False, timeout_s: float | None = COMMAND_TIMEOUT_S) -> str:
        """Run a command and return what it wrote to stdout; a RemoteError where it fails.

        Parameters
        ----------
        command
            For the host's shell.
        reads
            Whether it changes nothing there; a dry run runs no other.
        timeout_s
            After which the connection counts as dead.
        """
        return self._run(command, shown=command, reads=reads, timeout_s=timeout_s)

    def _run(self, command: str, *, shown: str, reads: bool, timeout_s: float | None) -> str:
        if self._dry_run and not reads:
            raise RuntimeError(f"a dry run wants to run {shown} on {self.name}")
        began = time.monotonic()
        try:
            result = self._connection.run(command, hide=True, warn=True, in_stream=False, timeout=timeout_s)
        except CommandTimedOut as error:
            raise self._silent(shown, timeout_s) from error
        except (paramiko.SSHException, ThreadException, EOFError, OSError) as error:
            raise self._broken(shown) from error
        if result.exited < 0:
            # No exit code came: sshd or the way to it is gone. Or the time was up: Invoke closes the channel then and
            # may look before its timer's thread has ended, which is all it knows of a time-out.
            timed_out = timeout_s is not None and time.monotonic() - began >= timeout_s
            raise self._silent(shown, timeout_s) if timed_out else self._broken(shown)
        if result.failed:
            raise RemoteError(self.name, shown, result.exited, result.stderr or result.stdout)
        return str(result.stdout)

    def _silent(self, shown: str, timeout_s: float | None) -> RedoxError:
        text = f"{self.name}: {shown} gave no answer within {timeout_s:g} s"
        return RedoxError(text, hint=f"is the network up? {AGAIN}")

    def _broken(self, shown: str) -> RedoxError:
        return RedoxError(f"the connection to {self.name} broke off while it ran {shown}", hint=AGAIN)

    def python(self, program: str, data: Any, *, reads: bool = False, timeout_s: float = COMMAND_TIMEOUT_S) -> Any:
        """Run a program of `ops/remote_scripts` as root and return its answer.

        Parameters
        ----------
        program
            Name of its module.
        data
            Its argument, ready for JSON.
        reads, timeout_s
            As for `run`.
        """
        source = resources.files("ops.remote_scripts").joinpath(f"{program}.py").read_text()
        command = f"sudo -n python3 -I -c {shlex.quote(source)} {shlex.quote(json.dumps(data))}"
        return json.loads(
            self._run(command, shown=f"ops/remote_scripts/{program}.py", reads=reads, timeout_s=timeout_s)
        )

    def put(self, files: Mapping[str, str]) -> None:
        """Write files as root, each whole or not at all."""
        self.python("write", dict(files))

    def get(self, path: str) -> bytes:
        """Return the content of a file."""
        into = io.BytesIO()
        try:
            self._connection.get(path, local=into)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise RedoxError(f"{self.name}: {path} cannot be fetched: {error}", hint=AGAIN) from error
        return into.getvalue()

    def stream(self, command: str) -> Iterator[str]:
        """Give the lines of a command that reads as they come; it ends when nobody takes them any more."""
        channel = self._connection.transport.open_session(timeout=ssh.CONNECT_TIMEOUT_S)
        try:
            channel.get_pty(width=500)  # without one the command would outlive us
            channel.exec_command(command)
            with channel.makefile("rb") as lines:
                for line in lines:
                    yield line.decode(errors="replace").rstrip("\r\n")
            code = channel.recv_exit_status()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._broken(command) from error
        finally:
            channel.close()
        if code < 0:
            raise self._broken(command)
        if code:
            raise RemoteError(self.name, command, code, "")

    @contextlib.contextmanager
    def forward(self, session: Session, *what: str) -> Iterator[subprocess.Popen[bytes]]:
        """Forward by `ssh -L` while the block runs: `LOCAL_PORT:HOST:PORT` or `LOCAL_SOCKET:/var/run/docker.sock`."""
        access = ssh.prepare(session)  # the host takes the key for a minute only
        flags = [f"-L{'127.0.0.1:' if each[0].isdigit() else ''}{each}" for each in what]
        command = access.ssh("-N", "-oExitOnForwardFailure=yes", "-oStreamLocalBindUnlink=yes", *flags)
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=said)  # noqa: S603 - ours
            try:
                self._wait_for(process, [each.split(":")[0] for each in what], said)
                yield process
            finally:
                process.terminate()
                process.wait()

    def _wait_for(self, process: subprocess.Popen[bytes], ends: list[str], said: IO[bytes]) -> None:
        deadline = time.monotonic() + FORWARD_TIMEOUT_S
        while not all(map(_listens, ends)):
            if process.poll() is not None or time.monotonic() > deadline:
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines() or ["it says nothing"]
                raise RedoxError(f"ssh does not forward from {self.name}: {lines[-1]}", hint="is the port free here?")
            time.sleep(0.05)


def _listens(end: str) -> bool:
    """Whether somebody listens at a port of the loopback or at a socket."""
    family, address = (socket.AF_INET, ("127.0.0.1", int(end))) if end.isdigit() else (socket.AF_UNIX, end)
    with socket.socket(family) as trial:
        return trial.connect_ex(address) == 0


class Connected(contextlib.ExitStack):
    """A host for a `with` block."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def open(self) -> RemoteHost:
        """Connect; every way in which that fails is an error of one line."""
        access = ssh.prepare(self._session)
        gateway = Gateway(access.gateway)
        self.callback(gateway.close)
        connection = _connection(access, gateway)
        self.callback(connection.close)
        try:
            connection.open()
        except paramiko.BadHostKeyException as error:
            raise RedoxError(
                f"{access.host} shows another key than it had: somebody may be in between",
                hint=f"if you changed its keys yourself, remove {access.known_hosts} and try again",
            ) from error
        except paramiko.AuthenticationException as error:
            raise RedoxError(f"{access.host} refuses the key of {access.user}", hint=_key_hint(access)) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _unreachable(access, gateway, error) from error
        connection.transport.set_keepalive(15)
        return RemoteHost(connection, access, dry_run=self._session.dry_run)

    def __enter__(self) -> Self:
        return self


def _connection(access: Access, gateway: Gateway) -> fabric.Connection:
    config = fabric.Config(runtime_ssh_path=str(access.config))
    connection = fabric.Connection(
        access.host,
        config=config,
        gateway=False,  # ours is the socket
        connect_timeout=ssh.CONNECT_TIMEOUT_S,
        connect_kwargs={
            "sock": gateway.socket,
            "banner_timeout": ssh.CONNECT_TIMEOUT_S,
            "auth_timeout": ssh.CONNECT_TIMEOUT_S,
            "channel_timeout": ssh.CONNECT_TIMEOUT_S,
            "look_for_keys": access.key is None,
            "allow_agent": access.key is None,
        },
    )
    connection.client.set_missing_host_key_policy(_Refuse())
    connection.client.load_system_host_keys(str(access.known_hosts))
    return connection


def _key_hint(access: Access) -> str:
    if access.key is not None and access.key.parent == access.folder:
        return "the AMI needs ec2-instance-connect; or set host.ssh_public_key in deploy.toml, then make apply"
    return "host.ssh_public_key of deploy.toml is not yours, or not yet there: make apply; ssh-add -L shows yours"


def _unreachable(access: Access, gateway: Gateway, error: Exception) -> RedoxError:
    why = gateway.why_ended()
    if why is not None:
        text = f"the gateway to {access.host} is dead: {why}"
        return RedoxError(text, hint=f"what it runs: {shlex.join(access.gateway)}")
    text = f"{access.host} does not answer within {ssh.CONNECT_TIMEOUT_S} s: {error}"
    return RedoxError(text, hint="is its sshd alive? python -m ops status; a reboot helps: aws ec2 reboot-instances")


def paths_of_programs() -> list[Path]:
    """Return the programs that are sent to the host."""
    return sorted(Path(str(resources.files("ops.remote_scripts"))).glob("[!_]*.py"))
