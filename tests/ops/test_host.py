"""Every way in which a host cannot be reached or breaks off is one clear line, and a second try works."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from fake_host import INSTANCE, FakeAws, Opened
from ops.commands.dash import dash
from ops.remote import ssh
from ops.remote.host import RemoteError, paths_of_programs
from redox_balancer.errors import RedoxError
from ssh_host import USER, SshHost
from waiting import wait_until


def test_it_is_reached_with_a_fresh_key_and_the_keys_of_the_console(opened: Opened, tmp_path: Path) -> None:
    session = opened()
    assert session.on_host().run("echo $HOME", reads=True).split() == [f"/home/{USER}"]
    folder = tmp_path / "cache/redox_balancer/hosts" / INSTANCE
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    # The same files serve ssh itself.
    plain = subprocess.run(session.on_host().access.ssh("echo", "there"), capture_output=True, text=True, check=False)
    assert (plain.stdout, plain.returncode) == ("there\n", 0), plain.stderr


def test_an_unknown_host_is_refused_until_its_console_tells_its_keys(opened: Opened, fake_aws: FakeAws) -> None:
    fake_aws.console = "[    0.000000] Linux version 6.8\r\n"
    with pytest.raises(RedoxError, match="is an unknown host"):
        opened().on_host()
    fake_aws.console = None
    assert opened().on_host().run("true", reads=True) == ""


def test_keys_that_the_console_has_forgotten_are_asked_for(opened: Opened, fake_aws: FakeAws, host: SshHost) -> None:
    """cloud-init tells them at the first start of an instance only."""
    fake_aws.console, fake_aws.keys = "[    0.000000] Linux version 6.8\r\n", f"{host.public_key}\n"
    assert opened().on_host().run("true", reads=True) == ""
    assert "send_command" in fake_aws.calls
    # What is known is not asked for again.
    fake_aws.calls.clear()
    assert opened().on_host().run("true", reads=True) == ""
    assert {"send_command", "get_console_output"}.isdisjoint(fake_aws.calls)


def test_a_changed_key_is_refused_until_what_was_known_is_removed(
    opened: Opened, fake_aws: FakeAws, host: SshHost
) -> None:
    other = host.folder / "other"
    if not other.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    fake_aws.console = host.console.replace(host.public_key, other.with_suffix(".pub").read_text().strip())
    with pytest.raises(RedoxError, match="shows another key than it had") as refused:
        opened().on_host()
    fake_aws.console = None
    Path(refused.value.hint.split("remove ")[1].split(" and ")[0]).unlink()
    assert opened().on_host().run("true", reads=True) == ""


def test_a_refused_key_is_one_line(opened: Opened, fake_aws: FakeAws) -> None:
    fake_aws.admits = False
    with pytest.raises(RedoxError, match=f"{INSTANCE} refuses the key of {USER}") as refused:
        opened().on_host()
    assert "ssh_public_key" in refused.value.hint
    fake_aws.admits = True
    assert opened().on_host().run("true", reads=True) == ""


def test_a_key_of_the_settings_is_found_and_sent_nowhere(
    opened: Opened, host: SshHost, fake_aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_aws.admits = False
    (tmp_path / ".ssh").mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / ".ssh/lab"], check=True)
    public = (tmp_path / ".ssh/lab.pub").read_text().strip()
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    host.admit(public)
    assert opened(ssh_public_key=f'"{public}"').on_host().run("true", reads=True) == ""
    assert "send_ssh_public_key" not in fake_aws.calls


@pytest.mark.parametrize(
    ("state", "online", "said"), [("stopped", False, "is stopped"), ("running", False, "does not reach it")]
)
def test_systems_manager_is_asked_before_a_session_hangs(
    opened: Opened, fake_aws: FakeAws, host: SshHost, state: str, *, online: bool, said: str
) -> None:
    host.gateway("silent")
    fake_aws.state, fake_aws.online = state, online
    with pytest.raises(RedoxError, match=said):
        opened().on_host()


def test_a_dead_gateway_says_what_it_died_of(opened: Opened, host: SshHost) -> None:
    host.gateway("dead")
    with pytest.raises(RedoxError, match=r"the gateway to .* is dead: An error occurred \(TargetNotConnected\)"):
        opened().on_host()
    host.gateway("works")
    assert opened().on_host().run("true", reads=True) == ""


def test_a_silent_gateway_is_a_time_out(opened: Opened, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT_S", 1)
    host.gateway("silent")
    with pytest.raises(RedoxError, match="does not answer within 1 s"):
        opened().on_host()
    monkeypatch.undo()


def test_a_failed_command_shows_itself_its_exit_code_and_its_last_lines(opened: Opened) -> None:
    with pytest.raises(RemoteError) as failed:
        opened().on_host().run("seq 1 9 >&2; exit 7", reads=True)
    assert failed.value.message == f"{INSTANCE}: seq 1 9 >&2; exit 7 ended with exit code 7: 5 | 6 | 7 | 8 | 9"
    assert failed.value.remote_exit_code == 7


def test_a_command_without_an_answer_is_a_time_out(opened: Opened) -> None:
    with pytest.raises(RedoxError, match=r"sleep 60 gave no answer within 0\.5 s"):
        opened().on_host().run("sleep 60", reads=True, timeout_s=0.5)


START = {"path": "/etc/redox/run.env", "text": "REDOX_RUN=new\n", "unit": "redox-none"}


def test_a_full_disk_is_named_and_leaves_the_old_file(opened: Opened, host: SshHost) -> None:
    there = opened().on_host()
    host.run("mount -t tmpfs -o size=64k tmpfs /etc/redox && echo REDOX_RUN=old >/etc/redox/run.env")
    try:
        with pytest.raises(RemoteError, match=r"run\.env cannot be written: No space left on device") as failed:
            there.python("start", {**START, "text": "x" * 100_000})
        assert "disk there is full" in failed.value.hint
        assert host.run("cat /etc/redox/*") == "REDOX_RUN=old\n"
        there.python("start", START)
        assert host.run("cat /etc/redox/*") == "REDOX_RUN=new\n"
    finally:
        host.run("umount /etc/redox")


def test_a_connection_that_breaks_off_is_one_line(opened: Opened, host: SshHost) -> None:
    there = opened().on_host()

    def cut_once_it_runs() -> None:
        wait_until(lambda: "sleep 1234" in host.run("ps -eo args"))
        host.cut()

    cutter = threading.Thread(target=cut_once_it_runs)
    cutter.start()
    with pytest.raises(RedoxError, match="broke off while it ran sleep 1234"):
        there.run("sleep 1234", reads=True)
    cutter.join()
    assert opened().on_host().run("true", reads=True) == ""


def test_lines_come_while_the_command_runs_and_it_ends_with_us(opened: Opened, host: SshHost) -> None:
    lines = opened().on_host().stream("echo one; echo two; exec sleep 4321")
    assert [next(lines), next(lines)] == ["one", "two"]
    assert "sleep 4321" in host.run("ps -eo args")
    lines.close()  # type: ignore[attr-defined]
    wait_until(lambda: "sleep 4321" not in host.run("ps -eo args"))


def test_a_port_is_forwarded_and_a_taken_one_is_named(opened: Opened, host: SshHost) -> None:
    session = opened()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with (
            pytest.raises(RedoxError, match="ssh does not forward"),
            session.on_host().forward(session, f"{port}:127.0.0.1:{host.host.record.port}"),
        ):
            pass
    with (
        session.on_host().forward(session, f"{port}:127.0.0.1:{host.host.record.port}"),
        socket.create_connection(("127.0.0.1", port)) as line,
    ):
        assert line.recv(4) == b"SSH-"


def test_a_dry_run_runs_nothing_that_changes(opened: Opened) -> None:
    there = opened(dry_run=True).on_host()
    assert there.run("true", reads=True) == ""
    with pytest.raises(RuntimeError, match="a dry run wants to run"):
        there.run("true")


def test_what_runs_on_the_host_needs_nothing_but_python() -> None:
    assert paths_of_programs()
    for path in paths_of_programs():
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names), path


def test_pages_of_the_host_are_shown_here_until_ctrl_c(
    opened: Opened, host: SshHost, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The container of TensorBoard is a page of Python's own server; the way to it is real."""
    session = opened()
    port = session.settings.ports.tensorboard
    # The host shares our loopback, so its port is taken here and another one serves.
    host.program("docker", "#!/bin/sh\ntest $1 != inspect || echo true\n")
    host.run("mkdir -p /run/pages && echo 'learning curves' >/run/pages/page")
    host.run(f"cd /run/pages && exec python3 -m http.server --bind 127.0.0.1 {port} >/dev/null 2>&1 &")
    wait_until(lambda: _answers(f"http://127.0.0.1:{port}/page", []))
    pages: list[str] = []

    def ctrl_c(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if not pages and process.args[:2] == ["ssh", "-F"]:
            address = re.search(r"TensorBoard: (\S+)", capfd.readouterr().err)
            assert address
            wait_until(lambda: _answers(f"{address[1]}page", pages))
            raise KeyboardInterrupt
        return wait(process, timeout)

    wait = subprocess.Popen.wait
    monkeypatch.setattr(subprocess.Popen, "wait", ctrl_c)
    answer = dash(session, browser=False)
    assert answer is not None
    assert pages == ["learning curves\n"]
    assert answer.data["pages"]["TensorBoard"] != f"http://127.0.0.1:{port}/"
    host.run("pkill -f [h]ttp.server")


def _answers(address: str, pages: list[str]) -> bool:
    try:
        pages.append(httpx.get(address, trust_env=False).raise_for_status().text)
    except httpx.HTTPError:
        return False
    return True
