"""`redox` as a user runs it, and the form of a refusal."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from redox_balancer.cell.records import packaged
from redox_balancer.cli import app

# Beside the interpreter that runs the tests: another `redox` may be on the PATH, or none.
REDOX = Path(sys.executable).with_name("redox")


def redox(
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `limit` is called in its process before it starts."""
    return subprocess.run(
        [REDOX, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | dict(environment or {}),
        preexec_fn=limit,
        timeout=500,
    )


def succeeded(*arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command as `redox` does; it has to end well."""
    answer = redox(*arguments, **how)
    assert answer.returncode == 0, answer.stderr
    return answer


def redox_json(*arguments: object, **how: Any) -> Any:
    """The answer of a command with `--json`."""
    return json.loads(succeeded(*arguments, "--json", **how).stdout)


def ran(command: Sequence[object], **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever that is."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **how)


def in_process(*arguments: object) -> tuple[Any, str]:
    """The answer of a command with `--json`, run in this process, and what it wrote to stderr."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), done.stderr


def python(code: str, *arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return ran([sys.executable, "-c", code, *arguments], **how)


def assert_refused(answer: subprocess.CompletedProcess[str], *said: str, finding: bool = False) -> None:
    """Exit code 2, one line with the error, one with a hint, and no traceback.

    There is no result either, unless the refusal is a finding that stands in one.
    """
    assert answer.returncode == 2, answer.stderr
    assert bool(answer.stdout) is finding
    assert "Traceback" not in answer.stderr
    lines = answer.stderr[answer.stderr.index("error:") :].splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], answer.stderr
    for words in said:
        assert words in "\n".join(lines)


def edited_library(folder: Path, old: str, new: str) -> Path:
    """A copy of the package's enzyme library in which the first `old` is `new`."""
    text = packaged("enzymes.toml").read_text()
    assert old in text
    path = folder / "enzymes.toml"
    path.write_text(text.replace(old, new, 1))
    return path
