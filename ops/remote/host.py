"""The host over SSH: commands, small programs, files, and forwarded ports."""

import contextlib
import io
import json
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from typing import IO, Any, Self

import fabric
import paramiko
from invoke.exceptions import CommandTimedOut, ThreadException

from ops.aws import instance
from ops.remote import ssh
from ops.remote.connection import open_connection
from ops.remote.ssh import Access
from ops.session import Session
from redox_balancer.errors import RedoxError

COMMAND_TIMEOUT_S = 120.0
LAST_LINES = 5
FORWARD_TIMEOUT_S = 30.0
POLL_S = 0.05
REPEAT = "repeat the command to continue"
DISK_FULL = "No space left on device"


class RemoteError(RedoxError):
    """A command on the host failed; `output` is what it wrote to stderr, or else to stdout."""

    def __init__(self, host: str, command: str, exit_code: int, output: str) -> None:
        self.remote_exit_code, self.output = exit_code, output.strip()
        last = " | ".join(self.output.splitlines()[-LAST_LINES:]) or "no output"
        hint = "inspect the host: python -m ops shell"
        if DISK_FULL in output:
            hint = "a disk of the host is full: df -h in python -m ops shell; docker system prune frees images"
        super().__init__(f"{host}: {command} failed with exit code {exit_code}: {last}", hint=hint)


class RemoteHost:
    """The training host over SSH.

    The connection is opened by the first use, and again by the next use after `close`. Every failure is a RedoxError
    of one line. In a dry run only commands run that read.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._closing = contextlib.ExitStack()
        self._connection: fabric.Connection | None = None
        self._access: Access | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Its instance id."""
        return self.session.instance_id

    def open(self) -> Access:
        """Connect unless connected, and return how the host is reached."""
        if self._connection is None or self._access is None:
            instance.require_online(self.session)
            self._access = ssh.prepare(self.session)
            with contextlib.ExitStack() as closing:
                self._connection = open_connection(self._access, closing)
                self._closing = closing.pop_all()
        return self._access

    def close(self) -> None:
        """Close the connection."""
        self._closing.close()
        self._connection = None

    @property
    def _opened(self) -> fabric.Connection:
        self.open()
        return self._connection

    def run(self, command: str, *, reads: bool = False, timeout_s: float = COMMAND_TIMEOUT_S, shown: str = "") -> str:
        """Run a command line in the host's shell and return its stdout; a RemoteError if it fails.

        `reads` says that it changes nothing on the host: a dry run runs no other command. The connection counts as
        dead after `timeout_s` seconds, which is a RedoxError. Errors show the command, or `shown` for it.
        """
        shown = shown or command
        if self.session.dry_run and not reads:
            raise RuntimeError(f"a dry run must not run {shown} on {self.name}")
        connection, started = self._opened, time.monotonic()
        try:
            result = connection.run(command, hide=True, warn=True, in_stream=False, timeout=timeout_s)
        except CommandTimedOut as error:
            raise self._timed_out(shown, timeout_s) from error
        except (paramiko.SSHException, ThreadException, EOFError, OSError) as error:
            raise self._lost(shown) from error
        if result.exited < 0:
            # No exit code: sshd or the gateway has died. Or the time ran out: Invoke then closes the channel, and may
            # return before its timer thread has ended, which is its only record of a timeout.
            timed_out = time.monotonic() - started >= timeout_s
            raise self._timed_out(shown, timeout_s) if timed_out else self._lost(shown)
        if result.failed:
            raise RemoteError(self.name, shown, result.exited, result.stderr or result.stdout)
        return str(result.stdout)

    def _timed_out(self, shown: str, timeout_s: float) -> RedoxError:
        text = f"{self.name}: {shown} did not answer within {timeout_s:g} s"
        return RedoxError(text, hint=f"check the network; {REPEAT}")

    def _lost(self, shown: str) -> RedoxError:
        return RedoxError(f"the connection to {self.name} was lost while it ran {shown}", hint=REPEAT)

    def script(self, name: str, data: Any, *, reads: bool = False, timeout_s: float = COMMAND_TIMEOUT_S) -> Any:
        """Run a program of `ops/remote_scripts` as root and return its answer.

        `data` is its argument, ready for JSON; `reads` and `timeout_s` are those of `run`.
        """
        source = resources.files("ops.remote_scripts").joinpath(f"{name}.py").read_text()
        command = shlex.join(["sudo", "-n", "python3", "-I", "-c", source, json.dumps(data)])
        return json.loads(self.run(command, reads=reads, timeout_s=timeout_s, shown=f"ops/remote_scripts/{name}.py"))

    def get(self, path: str) -> bytes:
        """Return the content of a file."""
        content = io.BytesIO()
        try:
            self._opened.get(path, local=content)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise RedoxError(f"{self.name}: {path} cannot be fetched: {error}", hint=REPEAT) from error
        return content.getvalue()

    def stream(self, command: str) -> Iterator[str]:
        """Yield the lines of a command that reads, as they come; closing the iterator ends the command."""
        channel = self._opened.transport.open_session(timeout=ssh.CONNECT_TIMEOUT_S)
        try:
            channel.get_pty(width=500)  # without one, the command would outlive the channel
            channel.exec_command(command)
            with channel.makefile("rb") as lines:
                for line in lines:
                    yield line.decode(errors="replace").rstrip("\r\n")
            code = channel.recv_exit_status()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._lost(command) from error
        finally:
            channel.close()
        if code < 0:
            raise self._lost(command)
        if code:
            raise RemoteError(self.name, command, code, "")

    @contextlib.contextmanager
    def forward(self, *forwards: str) -> Iterator[subprocess.Popen[bytes]]:
        """Forward by `ssh -L` during a `with` block: `LOCAL_PORT:HOST:PORT` or `LOCAL_SOCKET:REMOTE_SOCKET`."""
        access = ssh.prepare(self.session)  # a new login: the host admits the key for one minute only
        flags = [f"-L{'127.0.0.1:' if each[0].isdigit() else ''}{each}" for each in forwards]
        command = access.ssh("-N", "-oExitOnForwardFailure=yes", "-oStreamLocalBindUnlink=yes", *flags)
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)  # noqa: S603 - built here
            try:
                self._wait_for(process, [each.split(":")[0] for each in forwards], stderr)
                yield process
            finally:
                process.terminate()
                process.wait()

    def _wait_for(self, process: subprocess.Popen[bytes], ends: list[str], stderr: IO[bytes]) -> None:
        deadline = time.monotonic() + FORWARD_TIMEOUT_S
        while not all(map(_is_listening, ends)):
            if process.poll() is not None or time.monotonic() > deadline:
                stderr.seek(0)
                lines = stderr.read().decode(errors="replace").strip().splitlines() or ["no output"]
                raise RedoxError(
                    f"ssh does not forward from {self.name}: {lines[-1]}", hint="is the local port in use?"
                )
            time.sleep(POLL_S)


def _is_listening(end: str) -> bool:
    """Whether something listens on a local port or on a socket."""
    family, address = (socket.AF_INET, ("127.0.0.1", int(end))) if end.isdigit() else (socket.AF_UNIX, end)
    with socket.socket(family) as trial:
        return trial.connect_ex(address) == 0
