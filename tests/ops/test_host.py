"""Every failure to reach a host, or to stay connected to it, is one clear line, and a second attempt works."""

import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from fake_host import INSTANCE, FakeAws, ReachHost
from ops.remote import ssh
from ops.remote.host import RemoteError
from redox_balancer.errors import RedoxError
from ssh_host import USER, SshHost
from waiting import wait_until


def test_it_is_reached_with_a_generated_key_and_the_keys_of_the_console(reach: ReachHost, tmp_path: Path) -> None:
    host = reach()
    assert host.run("echo $HOME", reads=True).split() == [f"/home/{USER}"]
    folder = tmp_path / "cache/redox_balancer/hosts" / INSTANCE
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    # The same files work for ssh itself.
    plain = subprocess.run(host.open().ssh(command="echo reached"), capture_output=True, text=True, check=False)
    assert (plain.stdout, plain.returncode) == ("reached\n", 0), plain.stderr


def test_it_is_reached_where_the_path_of_temporary_files_is_too_long_for_a_socket(
    reach: ReachHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert reach().run("echo reached", reads=True) == "reached\n"
    assert not list(long.iterdir())


def test_an_unknown_host_is_refused_until_its_console_shows_its_keys(reach: ReachHost, fake_aws: FakeAws) -> None:
    fake_aws.console = "[    0.000000] Linux version 6.8\r\n"
    with pytest.raises(RedoxError, match="is an unknown host"):
        reach().open()
    fake_aws.console = None
    assert reach().run("true", reads=True) == ""


def test_keys_that_the_console_no_longer_shows_are_read_through_systems_manager(
    reach: ReachHost, fake_aws: FakeAws, host: SshHost
) -> None:
    """cloud-init writes them at the first start of an instance only."""
    fake_aws.console, fake_aws.keys = "[    0.000000] Linux version 6.8\r\n", f"{host.public_key}\n"
    assert reach().run("true", reads=True) == ""
    assert "send_command" in fake_aws.calls
    # Known keys are not queried again.
    fake_aws.calls.clear()
    assert reach().run("true", reads=True) == ""
    assert {"send_command", "get_console_output"}.isdisjoint(fake_aws.calls)


def test_a_changed_host_key_is_refused_until_the_known_one_is_removed(
    reach: ReachHost, fake_aws: FakeAws, host: SshHost
) -> None:
    other = host.folder / "other"
    if not other.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    fake_aws.console = host.console.replace(host.public_key, other.with_suffix(".pub").read_text().strip())
    with pytest.raises(RedoxError, match="has another key than before") as refused:
        reach().open()
    fake_aws.console = None
    Path(refused.value.hint.split("remove ")[1].split(" and ")[0]).unlink()
    assert reach().run("true", reads=True) == ""


def test_a_refused_key_is_one_line(reach: ReachHost, fake_aws: FakeAws) -> None:
    fake_aws.admits = False
    with pytest.raises(RedoxError, match=f"{INSTANCE} refuses the key of {USER}") as refused:
        reach().open()
    assert "ssh_public_key" in refused.value.hint
    fake_aws.admits = True
    assert reach().run("true", reads=True) == ""


COMMENT = 'O\'Brien "the $(touch /run/pwned) `id`" \\ key'


@pytest.mark.parametrize("comment", ["lab", COMMENT], ids=["plain", "quotes"])
def test_a_key_of_the_settings_is_found_by_its_content_and_sent_nowhere(
    reach: ReachHost,
    host: SshHost,
    fake_aws: FakeAws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    comment: str,
) -> None:
    fake_aws.admits = False
    (tmp_path / ".ssh").mkdir()
    generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", tmp_path / ".ssh/lab"]
    subprocess.run(generate, check=True)
    public = (tmp_path / ".ssh/lab.pub").read_text().strip()
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    host.admit(public)
    assert reach(ssh_public_key=toml_text(public)).run("true", reads=True) == ""
    assert "send_ssh_public_key" not in fake_aws.calls
    assert host.host.run("test", "-e", "/run/pwned").returncode == 1


def toml_text(text: str) -> str:
    """A TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@pytest.mark.parametrize(
    ("state", "online", "message"), [("stopped", False, "is stopped"), ("running", False, "does not reach it")]
)
def test_systems_manager_is_queried_before_a_session_could_hang(
    reach: ReachHost, fake_aws: FakeAws, host: SshHost, state: str, *, online: bool, message: str
) -> None:
    host.gateway("silent")
    fake_aws.state, fake_aws.online = state, online
    with pytest.raises(RedoxError, match=message):
        reach().open()


def test_a_dead_gateway_reports_its_last_line(reach: ReachHost, host: SshHost) -> None:
    host.gateway("dead")
    with pytest.raises(RedoxError, match=r"the gateway to .* has died: An error occurred \(TargetNotConnected\)"):
        reach().open()
    host.gateway("works")
    assert reach().run("true", reads=True) == ""


def test_a_silent_gateway_is_a_timeout(reach: ReachHost, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT_S", 1)
    host.gateway("silent")
    with pytest.raises(RedoxError, match="does not answer within 1 s"):
        reach().open()


def test_a_failed_command_shows_its_exit_code_and_its_last_lines(reach: ReachHost) -> None:
    with pytest.raises(RemoteError) as failed:
        reach().run("seq 1 9 >&2; exit 7", reads=True)
    assert failed.value.message == f"{INSTANCE}: seq 1 9 >&2; exit 7 failed with exit code 7: 5 | 6 | 7 | 8 | 9"
    assert failed.value.remote_exit_code == 7


def test_a_command_that_does_not_end_is_a_timeout(reach: ReachHost) -> None:
    with pytest.raises(RedoxError, match=r"sleep 60 did not answer within 0\.5 s"):
        reach().run("sleep 60", reads=True, timeout_s=0.5)


def test_a_full_disk_is_named(reach: ReachHost, host: SshHost) -> None:
    host.run("mkdir -p /run/full && mount -t tmpfs -o size=64k tmpfs /run/full")
    try:
        with pytest.raises(RemoteError, match=r"No space left on device") as failed:
            reach().run("head -c 1000000 /dev/zero >/run/full/a", reads=True)
        assert "a disk of the host is full" in failed.value.hint
    finally:
        host.run("umount /run/full")


def test_a_lost_connection_is_one_line(reach: ReachHost, host: SshHost) -> None:
    remote = reach()
    remote.open()

    def cut_once_it_runs() -> None:
        wait_until(lambda: "sleep 1234" in host.run("ps -eo args"))
        host.cut()

    cutter = threading.Thread(target=cut_once_it_runs)
    cutter.start()
    with pytest.raises(RedoxError, match="was lost while it ran sleep 1234"):
        remote.run("sleep 1234", reads=True)
    cutter.join()
    remote.close()
    assert remote.run("true", reads=True) == ""


def test_lines_are_streamed_while_the_command_runs_and_closing_the_stream_ends_it(
    reach: ReachHost, host: SshHost
) -> None:
    lines = reach().stream("echo one; echo two; exec sleep 4321")
    assert [next(lines), next(lines)] == ["one", "two"]
    wait_until(lambda: "sleep 4321" in host.run("ps -eo args"))  # it has no arguments while it starts
    lines.close()  # type: ignore[attr-defined]
    wait_until(lambda: "sleep 4321" not in host.run("ps -eo args"))


def test_a_port_is_forwarded_and_one_in_use_is_reported(reach: ReachHost, host: SshHost) -> None:
    remote = reach()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with (
            pytest.raises(RedoxError, match="ssh does not forward"),
            remote.forward(f"{port}:127.0.0.1:{host.host.record.port}"),
        ):
            pass
    with (
        remote.forward(f"{port}:127.0.0.1:{host.host.record.port}"),
        socket.create_connection(("127.0.0.1", port)) as line,
    ):
        assert line.recv(4) == b"SSH-"


def test_a_dry_run_runs_only_commands_that_read(reach: ReachHost) -> None:
    remote = reach(dry_run=True)
    assert remote.run("true", reads=True) == ""
    with pytest.raises(RuntimeError, match="a dry run must not run"):
        remote.run("true")
