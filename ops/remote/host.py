"""The host over SSH: commands, small programs, files, and forwarded ports, all through one connection of `ssh`."""

import contextlib
import json
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self

from ops.aws import instance
from ops.remote import ssh
from ops.remote.ssh import Access
from ops.session import Session
from redox_balancer.errors import RedoxError

COMMAND_TIMEOUT_S = 120.0
MARGIN_S = 10.0  # beyond ssh's own timeout, which does not count the login
END_S = 5.0  # for ssh to end by itself
LAST_LINES = 5
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

    The connection is opened by the first use, and again by the next use after it was lost or closed. Every failure is
    a RedoxError of one line. In a dry run only commands run that read.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._closing = contextlib.ExitStack()
        self._master: subprocess.Popen[bytes] | None = None  # whose connection all commands share
        self._access: Access | None = None
        self._socket = ""  # of the master

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
        if self._access is None or self._master is None or self._master.poll() is not None:
            self.close()
            instance.require_online(self.session)
            self._access = ssh.prepare(self.session)
            with contextlib.ExitStack() as closing:
                self._master = self._connect(self._access, closing)
                self._closing = closing.pop_all()
        return self._access

    def close(self) -> None:
        """Close the connection."""
        self._closing.close()
        self._master = None

    def _connect(self, access: Access, closing: contextlib.ExitStack) -> subprocess.Popen[bytes]:
        """Start the `ssh` that connects, in a session of its own: Ctrl-C reaches this process alone."""
        folder = Path(closing.enter_context(ssh.socket_folder()))
        self._socket, errors = str(folder / "ssh"), folder / "errors"
        command = access.ssh("-MN", "-S", self._socket)
        with errors.open("wb") as stderr:
            master = subprocess.Popen(  # noqa: S603 - built in ops.remote.ssh
                command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=True
            )
        closing.callback(_end, master)
        deadline = time.monotonic() + ssh.CONNECT_TIMEOUT_S + MARGIN_S
        while not Path(self._socket).exists():
            if master.poll() is not None or time.monotonic() > deadline:
                raise ssh.failure(access, errors.read_text(errors="replace"))
            time.sleep(POLL_S)
        return master

    def _through(self, *options: str, command: str = "") -> list[str]:
        """Return an `ssh` command line that uses the connection, and makes none of its own where that was lost."""
        return self.open().ssh(*options, command=command, program=("ssh", "-S", self._socket, "-oProxyCommand=false"))

    def _lost(self) -> bool:
        """Whether the connection was lost, or is about to be."""
        try:
            return self._master is None or self._master.wait(1.0) is not None
        except subprocess.TimeoutExpired:
            return False

    def read(self, command: str, *, timeout_s: float = COMMAND_TIMEOUT_S, shown: str = "") -> bytes:
        """Run a command line that changes nothing on the host, in its shell, and return its stdout.

        A RemoteError if it fails. `timeout_s` and `shown` are as for `run`.
        """
        shown, line = shown or command, self._through(command=command)
        try:
            answer = subprocess.run(  # noqa: S603 - built in ops.remote.ssh
                line,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            text = f"{self.name}: {shown} did not answer within {timeout_s:g} s"
            raise RedoxError(text, hint=f"check the network; {REPEAT}") from error
        self._check(shown, answer.returncode, answer.stderr or answer.stdout)
        return answer.stdout

    def _check(self, shown: str, code: int, output: bytes) -> None:
        if code == ssh.FAILED and self._lost():
            raise RedoxError(f"the connection to {self.name} was lost while it ran {shown}", hint=REPEAT)
        if code:
            raise RemoteError(self.name, shown, code, output.decode(errors="replace"))

    def run(self, command: str, *, reads: bool = False, timeout_s: float = COMMAND_TIMEOUT_S, shown: str = "") -> str:
        """Run a command line in the host's shell and return its stdout; a RemoteError if it fails.

        `reads` says that it changes nothing on the host: a dry run runs no other command. After `timeout_s` seconds
        it is given up, which is a RedoxError. Errors show the command, or `shown` for it.
        """
        if self.session.dry_run and not reads:
            raise RuntimeError(f"a dry run must not run {shown or command} on {self.name}")
        return self.read(command, timeout_s=timeout_s, shown=shown).decode(errors="replace")

    def script(self, name: str, data: Any, *, reads: bool = False, timeout_s: float = COMMAND_TIMEOUT_S) -> Any:
        """Run a program of `ops/remote_scripts` as root and return its answer.

        `data` is its argument, ready for JSON; `reads` and `timeout_s` are those of `run`.
        """
        source = resources.files("ops.remote_scripts").joinpath(f"{name}.py").read_text()
        command = shlex.join(["sudo", "-n", "python3", "-I", "-c", source, json.dumps(data)])
        return json.loads(self.run(command, reads=reads, timeout_s=timeout_s, shown=f"ops/remote_scripts/{name}.py"))

    def stream(self, command: str) -> Iterator[str]:
        """Yield the lines of a command that reads, as they come; closing the iterator ends the command."""
        line = self._through("-tt", command=command)  # without a terminal, the command would outlive its reader
        with subprocess.Popen(  # noqa: S603 - built in ops.remote.ssh
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                for each in process.stdout or ():
                    yield each.decode(errors="replace").rstrip("\r\n")
            finally:
                process.terminate()
        self._check(command, process.returncode, b"")

    @contextlib.contextmanager
    def forward(self, *forwards: str) -> Iterator[subprocess.Popen[bytes]]:
        """Forward as `ssh -L` does during a `with` block, and yield the process of the connection.

        Each is like `LOCAL_PORT:HOST:PORT` or `LOCAL_SOCKET:REMOTE_SOCKET`.
        """
        flags = [f"-L{'127.0.0.1:' if each[0].isdigit() else ''}{each}" for each in forwards]
        self._control("forward", flags)
        try:
            assert self._master  # noqa: S101 - it is connected
            yield self._master
        finally:
            with contextlib.suppress(RedoxError):  # it is gone with the connection
                self._control("cancel", flags)

    def _control(self, order: str, flags: Sequence[str]) -> None:
        answer = subprocess.run(  # noqa: S603 - built in ops.remote.ssh
            self._through("-O", order, *flags), capture_output=True, text=True, check=False
        )
        if answer.returncode:
            last = (answer.stderr.strip().splitlines() or ["no output"])[-1]
            raise RedoxError(f"ssh does not forward from {self.name}: {last}", hint="is the local port in use?")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
