"""The table of commands: `redox --help` imports none of them, and says what they say."""

import os
from pathlib import Path

import pytest
import typer

from commands import REDOX, ran, redox
from redox_balancer.cli import app
from redox_balancer.cli.commands import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_is_the_first_paragraph_of_its_help(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.name == name
    assert " ".join(command.help.split("\n\n")[0].split()) == COMMANDS[name][1]


def test_the_help_lists_every_command_and_every_option_of_all() -> None:
    shown = redox("--help").stdout
    assert all(f"│ {name} " in shown for name in COMMANDS)
    assert all(f" {option} " in shown for option in ("--debug", "--version", "--install-completion", "-h"))


def test_a_command_that_is_misspelt_is_guessed() -> None:
    assert "Did you mean 'search'" in redox("serach").stderr


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("redox d", "design diagnose doctor"),
        ("redox model f", "functions fetch"),
        ("redox design --const", "--construct"),
    ],
)
def test_the_completion_of_bash_knows_commands_and_options(words: str, completed: str, tmp_path: Path) -> None:
    shell = f"""
        eval "$(redox --show-completion)"
        COMP_WORDS=({words}) COMP_CWORD={len(words.split()) - 1}
        _redox_completion redox
        echo "${{COMPREPLY[@]}}"
    """
    path = os.pathsep.join((str(REDOX.parent), os.environ["PATH"]))
    answer = ran(["bash", "-c", shell], cwd=tmp_path, env=os.environ | {"PATH": path})
    assert answer.stdout.split() == completed.split(), answer.stderr


def test_completion_is_installed_into_the_home_folder(tmp_path: Path) -> None:
    shell = ["bash", "-c", f"{REDOX} --install-completion; true"]  # the shell is that of the parent process
    answer = ran(shell, env=os.environ | {"HOME": str(tmp_path)})
    assert "bash completion installed" in answer.stdout, answer.stderr
    (script,) = tmp_path.rglob("redox.sh")
    assert str(script) in (tmp_path / ".bashrc").read_text()
