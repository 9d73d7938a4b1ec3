"""The program behind `profile`: kernel switches are set only while it runs, however it ends."""

import json
from pathlib import Path

import pytest

from fake_host import ReachHost
from infra.settings import ROOT
from ssh_host import SshHost
from waiting import wait_until

PROGRAM = ROOT / "ops" / "remote_scripts" / "profile.py"
MEASURE = "cat /run/switches/redox; touch /run/switches/seen; while [ -e /run/switches/hold ]; do sleep 0.1; done"


@pytest.mark.parametrize("signal", [None, "KILL"], ids=["completed", "killed"])
def test_a_kernel_switch_is_set_only_while_the_program_runs(
    host: SshHost, reach: ReachHost, signal: str | None
) -> None:
    """A file takes the place of the kernel's own switch, which all hosts of this machine share."""
    host.run("mkdir -p /run/switches && echo 1 >/run/switches/redox")
    request = {
        "switches": {"redox": "0"},
        "command": ["sh", "-c", MEASURE],
        "folder": "/run/switches/profiles",
        "uid": 0,
    }
    put(host, "profile.py", PROGRAM.read_text().replace('"/proc/sys"', '"/run/switches"'))
    put(host, "request.json", json.dumps(request))
    command = 'python3 -I /run/profile.py "$(cat /run/request.json)"'
    if signal:
        host.run("touch /run/switches/hold")
        host.run(f"{command} >/run/switches/out 2>&1 & echo $! >/run/switches/pid")
        wait_until(lambda: host.host.run("test", "-e", "/run/switches/seen").returncode == 0)
        assert host.run("cat /run/switches/redox") == "0"
        host.run(f"kill -{signal} $(cat /run/switches/pid)")
    else:
        assert json.loads(reach().run(command, reads=True)) == {"output": "0"}
    wait_until(lambda: host.run("cat /run/switches/redox") == "1")
    host.run("rm -r /run/switches")


def put(host: SshHost, name: str, content: str) -> None:
    path: Path = host.host.root / "run" / name
    path.write_text(content)
