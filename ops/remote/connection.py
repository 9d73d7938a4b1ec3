"""Opening an SSH connection through Systems Manager, with every failure as an error of one line."""

import contextlib
import shlex
import socket
import subprocess
import tempfile
from typing import Any, NoReturn

import fabric
import paramiko

from ops.remote import ssh
from ops.remote.ssh import Access
from redox_balancer.errors import RedoxError

KEEPALIVE_S = 15


class Gateway:
    """The process that reaches the host's sshd, and our end of its pipe.

    A socket, because paramiko's ProxyCommand loops forever once its process has ended. A session of its own, so that
    Ctrl-C reaches this process alone.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        self.socket, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the gateway
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - built in ops.remote.ssh
                    command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._stderr,
                    start_new_session=True,
                )
        except OSError as error:
            self.socket.close()
            raise RedoxError(f"{command[0]} does not start: {error.strerror}", hint="install the AWS CLI") from error

    def failure(self) -> str | None:
        """Return the last line of its stderr if it has ended; None if it is still running."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return None
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
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
        self._stderr.close()


class _RefuseUnknownHosts(paramiko.RejectPolicy):  # type: ignore[misc]  # it has no types
    def missing_host_key(self, client: Any, hostname: str, key: Any) -> NoReturn:  # noqa: ARG002 - paramiko calls it
        raise RedoxError(
            f"{hostname} is an unknown host: none of its keys is known here",
            hint="was it replaced? the same command again finds the new one",
        )


def open_connection(access: Access, closing: contextlib.ExitStack) -> fabric.Connection:
    """Connect to a host; `closing` closes the connection and its gateway.

    A RedoxError if the host cannot be reached, has a key that AWS did not report, or refuses the login.
    """
    gateway = Gateway(access.gateway)
    closing.callback(gateway.close)
    connection = _connection(access, gateway)
    closing.callback(connection.close)
    try:
        connection.open()
    except paramiko.BadHostKeyException as error:
        raise RedoxError(
            f"{access.host} has another key than before: the connection may be intercepted",
            hint=f"if you changed its keys yourself, remove {access.known_hosts} and try again",
        ) from error
    except paramiko.AuthenticationException as error:
        raise RedoxError(f"{access.host} refuses the key of {access.user}", hint=_key_hint(access)) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _unreachable(access, gateway, error) from error
    connection.transport.set_keepalive(KEEPALIVE_S)
    return connection


def _connection(access: Access, gateway: Gateway) -> fabric.Connection:
    config = fabric.Config(runtime_ssh_path=str(access.config))
    connection = fabric.Connection(
        access.host,
        config=config,
        gateway=False,  # the socket replaces it
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
    connection.client.set_missing_host_key_policy(_RefuseUnknownHosts())
    connection.client.load_system_host_keys(str(access.known_hosts))
    return connection


def _key_hint(access: Access) -> str:
    if access.key is not None and access.key.parent == access.folder:
        return "the AMI needs ec2-instance-connect; or set host.ssh_public_key in deploy.toml, then make apply"
    return (
        "host.ssh_public_key of deploy.toml is not your key, or not on the host yet: make apply; "
        "ssh-add -L shows the keys of your agent"
    )


def _unreachable(access: Access, gateway: Gateway, error: Exception) -> RedoxError:
    failure = gateway.failure()
    if failure is not None:
        text = f"the gateway to {access.host} has died: {failure}"
        return RedoxError(text, hint=f"run it by hand: {shlex.join(access.gateway)}")
    text = f"{access.host} does not answer within {ssh.CONNECT_TIMEOUT_S} s: {error}"
    return RedoxError(
        text, hint="is its sshd running? python -m ops status; a reboot may help: aws ec2 reboot-instances"
    )
