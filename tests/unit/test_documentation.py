"""The README names every command and target, and none that does not exist."""

import re
import subprocess
from pathlib import Path

import pytest
import typer

from redox_balancer.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def commands() -> dict[str, object]:
    """Every subcommand by its full name."""

    def walk(command: object, name: str) -> dict[str, object]:
        nested = getattr(command, "commands", None)
        if nested is None:
            return {name: command}
        return {
            key: found for child, value in nested.items() for key, found in walk(value, f"{name} {child}").items()
        }

    return walk(typer.main.get_command(app), "redox")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_in_the_readme_and_has_an_example(name: str) -> None:
    assert f"`{name}" in README
    assert f"Example: {name}" in str(getattr(commands()[name], "epilog", ""))


def test_every_command_in_the_readme_exists() -> None:
    code = re.findall(r"`(redox [^`]*)`", README) + re.findall(r"^(redox .*)$", README, flags=re.MULTILINE)
    assert len(code) > 10
    for line in code:
        assert any(line == name or line.startswith(f"{name} ") for name in commands()), line


def test_every_option_in_the_readme_and_in_the_examples_exists() -> None:
    examples = [str(getattr(command, "epilog", "")).removeprefix("Example: ") for command in commands().values()]
    lines = re.findall(r"^(redox .*)$", README, flags=re.MULTILINE) + [
        part.strip() for example in examples for part in example.split(";")
    ]
    for line in lines:
        name = max((name for name in commands() if line.startswith(name)), key=len)
        known = {option for parameter in commands()[name].params for option in parameter.opts}
        used = set(re.findall(r"(?<= )--[a-z0-9-]+", line))
        assert used <= known, line


def test_make_targets_and_their_documentation_agree() -> None:
    documented = set(re.findall(r"`make ([a-z-]+)`", README))
    assert documented == targets() - {"help"}
    listed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    for target in targets():
        assert re.search(rf"^  {target} +\S", listed, flags=re.MULTILINE)
