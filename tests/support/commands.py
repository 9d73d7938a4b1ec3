"""`redox` as a user runs it, and the form of a refusal."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer

from redox_balancer.cell.records import packaged
from redox_balancer.cli import app
from redox_balancer.terminal.outcome import end

Run = Callable[..., subprocess.CompletedProcess[str]]

# Beside the interpreter that runs the tests: another `redox` may be on the PATH, or none.
REDOX = Path(sys.executable).with_name("redox")


def redox(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process, which spares the start of another."""
    words, out, errors = [str(REDOX), *map(str, arguments)], io.StringIO(), io.StringIO()
    with (
        chdir(cwd or Path()),
        mock.patch.object(sys, "argv", words),
        redirect_stdout(out),
        redirect_stderr(errors),
        pytest.raises(SystemExit) as ended,
    ):
        end(app, "redox")
    return subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), errors.getvalue())


def redox_process(
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a process of its own; `limit` is called there before it starts."""
    environment = os.environ | dict(environment or {})
    return ran([REDOX, *arguments], cwd=cwd, env=environment, preexec_fn=limit, timeout=500)


def succeeded(*arguments: object, run: Run = redox, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; it has to end well."""
    answer = run(*arguments, **how)
    assert answer.returncode == 0, answer.stderr
    return answer


def redox_json(*arguments: object, **how: Any) -> Any:
    """The answer of a command with `--json`."""
    return json.loads(succeeded(*arguments, "--json", **how).stdout)


def commands_of(program: typer.Typer, name: str) -> dict[str, Any]:
    """Every command of a program by its full name, groups of commands included."""
    found, left = {}, {name: typer.main.get_command(program)}
    while left:
        name, command = left.popitem()
        found[name] = command
        left |= {f"{name} {word}": child for word, child in getattr(command, "commands", {}).items()}
    return found


@contextmanager
def redox_until(shown: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, once its stderr has shown these words; it has to be ended."""
    with subprocess.Popen([REDOX, *map(str, arguments)], stderr=subprocess.PIPE, text=True) as process:
        assert any(shown in line for line in process.stderr), f"{arguments} ended without {shown!r}"
        try:
            yield process
            process.communicate()
        finally:
            process.kill()


def ran(command: Sequence[object], **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever that is."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **how)


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
