"""Commands in bad surroundings: real processes that end as promised, without a traceback or a file half written."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from commands import REDOX
from python_path import write_shadows

CORE = Path(__file__).parents[2] / "app/redox_balancer/data/human_redox_core.json"
TRAIN = "train --timesteps 500 --checkpoint-dir run --json --num-actors"
COMMANDS = {
    "help": "--help",
    "enzymes": "enzymes",
    "json": "enzymes --json",
    "core": f"build-core --input {CORE} --output core.json --medium model",
    "search": "search greedy --conditions healthy --json",
    "processes": "search exhaustive --conditions healthy --placements 1 --json",
    "design": "design --construct LBNOX_c=0.001 --condition complex_iii_closed --output design",
    "train": f"{TRAIN} 0 --conditions healthy",
    "supervised": f"{TRAIN} 0 --conditions healthy --supervise --max-restarts 0",
    "actors": f"{TRAIN} 1",
    "report": "report run --episodes 5 --no-exhaustive",
}
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NO_HOME = {"HOME": "/proc/1", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "", "MPLCONFIGDIR": ""}


def run(
    name: str, folder: Path, how: str = "exec %s", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, by a line of bash in which it is `%s`; an empty variable is removed."""
    changed = {**os.environ, **(environment or {})}
    return subprocess.run(
        ["bash", "-c", how.replace("%s", f"{REDOX} {COMMANDS[name]}")],
        cwd=folder,
        env={key: value for key, value in changed.items() if value},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def assert_ended(answer: subprocess.CompletedProcess[str], code: int, folder: Path, error: str = "") -> None:
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    assert "Exception ignored" not in answer.stderr
    assert "Matplotlib" not in answer.stderr
    said = [line for line in answer.stderr.splitlines() if line.startswith("error:")]
    assert len(said) == bool(error), answer.stderr
    assert not error or error in said[0]
    assert not list(folder.rglob(".partial-*"))


@pytest.mark.parametrize(
    ("how", "code", "error"),
    [
        ("exec %s >/dev/full", 2, "cannot write to stdout: No space left on device"),
        ("exec %s >&-", 2, "cannot write to stdout: Bad file descriptor"),
        ("%s | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("exec %s 2>/dev/full", 0, ""),
        ("exec %s <&- 2>&-", 0, ""),
    ],
)
@pytest.mark.parametrize("name", ["help", "enzymes", "json"])
def test_a_stream_that_cannot_be_written(tmp_path: Path, name: str, how: str, code: int, error: str) -> None:
    answer = run(name, tmp_path, how)
    if "PIPESTATUS" in how and answer.returncode == 0:
        pytest.fail("the pipe was still open")
    assert_ended(answer, code, tmp_path, error)


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("core", ASCII),
        ("design", ASCII | NO_HOME),
        ("json", {"HOME": ""}),
        ("enzymes", {"TERM": "dumb", "COLUMNS": "20", "NO_COLOR": "1", "LC_ALL": "xx_XX.UTF-8"}),
        ("search", {"TMPDIR": "/proc/1"}),
    ],
)
def test_a_poor_environment(tmp_path: Path, name: str, environment: dict[str, str]) -> None:
    answer = run(name, tmp_path, environment=environment)
    assert_ended(answer, 0, tmp_path)
    assert answer.stdout
    if "--json" in COMMANDS[name]:
        json.loads(answer.stdout)


def test_a_training_saves_though_nobody_reads_what_it_says_and_its_report_is_utf_8(tmp_path: Path) -> None:
    unread = "%s 2>&1 | true; exit ${PIPESTATUS[0]}"
    assert_ended(run("train", tmp_path, unread, ASCII | NO_HOME), 141, tmp_path)
    assert (tmp_path / "run/latest/manifest.json").is_file()
    assert_ended(run("report", tmp_path, environment=ASCII | NO_HOME), 0, tmp_path)
    page = (tmp_path / "run/report.html").read_bytes().decode()
    assert page.rstrip().endswith("</html>")
    assert not page.isascii()


@pytest.mark.parametrize(
    ("name", "limit", "code", "error"),
    [
        ("enzymes", "ulimit -v 300000", 2, "the memory limit of this process is 307 MB; a command needs"),
        ("supervised", "ulimit -v 1000000", 2, "the memory limit of this process is 1,024 MB; a training needs"),
        ("actors", "ulimit -v 3000000", 2, "a training with actors needs"),
        ("enzymes", "ulimit -n 64", 0, ""),
        ("enzymes", "umask 077", 0, ""),
        ("processes", 'd=$(mktemp -d); cd "$d"; rmdir "$d"', 2, "the working folder was removed"),
    ],
)
def test_a_limit_of_the_system(tmp_path: Path, name: str, limit: str, code: int, error: str) -> None:
    assert_ended(run(name, tmp_path, f"{limit}; exec %s"), code, tmp_path, error)


@pytest.mark.parametrize("name", ["supervised", "processes"])
def test_no_process_takes_a_users_file_for_a_module(tmp_path: Path, name: str) -> None:
    write_shadows(tmp_path)
    answer = run(name, tmp_path)
    assert_ended(answer, 0, tmp_path)
    assert json.loads(answer.stdout)
