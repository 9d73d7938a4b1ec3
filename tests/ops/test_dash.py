"""`dash`: pages of the host in a local browser."""

import re
import subprocess

import httpx
import pytest

from fake_host import OpenSession
from ops.commands.dash import dash
from ssh_host import SshHost
from waiting import wait_until


def test_pages_of_the_host_are_forwarded_until_ctrl_c(
    open_session: OpenSession, host: SshHost, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python's own server stands in for the container of TensorBoard; the way to it is real."""
    session = open_session()
    port = session.settings.ports.tensorboard
    # The host shares our loopback interface: its port is in use here, and another local one is forwarded.
    host.program("docker", "#!/bin/sh\necho $@ >>/run/pages/docker\n[ $1 != top ]\n")
    host.run("mkdir -p /run/pages && echo 'learning curves' >/run/pages/page")
    host.run(f"cd /run/pages && exec python3 -m http.server --bind 127.0.0.1 {port} >/dev/null 2>&1 &")
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/page", []))
    pages: list[str] = []

    def ctrl_c(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if not pages and process.args[:2] == ["ssh", "-F"]:  # type: ignore[index]
            address = re.search(r"TensorBoard: (\S+)", capfd.readouterr().err)
            assert address
            wait_until(lambda: answers(f"{address[1]}page", pages))
            raise KeyboardInterrupt
        return wait(process, timeout)

    wait = subprocess.Popen.wait
    monkeypatch.setattr(subprocess.Popen, "wait", ctrl_c)
    result = dash(session, browser=False)
    assert result is not None
    assert pages == ["learning curves\n"]
    started = host.run("cat /run/pages/docker").splitlines()
    assert [line.split()[0] for line in started] == ["top", "rm", "run"]
    assert f"--publish=127.0.0.1:{port}:{port}" in started[-1]
    assert result.data["pages"]["TensorBoard"] != f"http://127.0.0.1:{port}/"
    host.run("pkill -f [h]ttp.server")


def answers(address: str, pages: list[str]) -> bool:
    try:
        pages.append(httpx.get(address, trust_env=False).raise_for_status().text)
    except httpx.HTTPError:
        return False
    return True
