"""The flags of `docker run`, for the host and for this machine."""

import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from infra import container
from infra.container import Flags
from infra.settings import ROOT, load

SETTINGS = load()


def test_the_host_gets_the_settings_and_its_data_volume() -> None:
    assert set(Flags.of(SETTINGS).arguments(SETTINGS.container, data="/data")) == {
        "--read-only",
        "--tmpfs=/tmp:rw,nosuid,nodev,size=8000000000,mode=1777",
        "--ulimit=nofile=1048576:1048576",
        "--ulimit=nproc=65536:65536",
        "--pids-limit=65536",
        "--shm-size=132000000000",
        "--stop-timeout=120",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--volume=/data:/data",
    }


def test_a_machine_with_lower_limits_gets_its_own() -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 2000))
from infra.container import Flags, load
print(Flags.of(load()).here().nofile)
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout == "2000\n"
    here = Flags.of(SETTINGS).here()
    assert here.nproc == container.at_most(SETTINGS.limits.nproc, resource.RLIMIT_NPROC)
    assert here.shm_bytes < SETTINGS.training.shm_bytes
    assert here.stop_timeout_s == SETTINGS.limits.stop_timeout_s


def test_the_command_prints_words_for_a_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "my runs"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getegid", lambda: 100)
    assert container.main(["--runs", str(runs)]) == 0
    words = shlex.split(capsys.readouterr().out)
    assert words == [*Flags.of(SETTINGS).here().arguments(SETTINGS.container, runs=str(runs)), "--user=1000:100"]
    assert "--volume=/data/spill" in words
    assert f"--volume={runs}:/data/experiments" in words
    assert container.main(["--host"]) == 0
    assert shlex.split(capsys.readouterr().out) == list(
        Flags.of(SETTINGS).arguments(SETTINGS.container, data="/data")
    )
