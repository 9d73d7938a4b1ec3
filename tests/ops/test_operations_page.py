"""docs/operations.md has every command with an example and no other; so have docs/commands.md and the Makefile."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from ops.__main__ import build, command_names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
COMMANDS: dict[str, typer.core.TyperCommand] = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
EXAMPLES = {name: str(command.epilog).removeprefix("Example: ") for name, command in COMMANDS.items()}


def command_lines() -> list[str]:
    """All command lines of `python -m ops` on the page and in the examples of the help."""
    return [*re.findall(r"^(?:\$ )?(python -m ops .*)$", PAGE, flags=re.MULTILINE), *EXAMPLES.values()]


def test_every_command_has_a_section_and_every_section_is_a_command() -> None:
    assert sorted(SECTIONS) == command_names()


@pytest.mark.parametrize("name", command_names())
def test_every_section_and_every_help_has_an_example(name: str) -> None:
    assert f"\npython -m ops {name}" in SECTIONS[name]
    assert EXAMPLES[name].startswith(f"python -m ops {name}")


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_is_valid(line: str) -> None:
    _, _, _, name, *words = shlex.split(line.partition("  #")[0])
    COMMANDS[name].make_context(name, list(words))  # an unknown option, or a wrong value, raises


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_every_option_that_a_section_names_exists(name: str) -> None:
    known = {each for parameter in COMMANDS[name].params for each in [*parameter.opts, *parameter.secondary_opts]}
    # Options after -- are the trainer's, and so is --resume.
    own = re.sub(r"`--resume[^`]*`|-- .*", "", SECTIONS[name])
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", own)) - {"--debug"} <= known


def test_every_command_is_a_target_with_a_row_in_commands_md() -> None:
    for name in command_names():
        assert re.search(rf"^{name}: .*## ", MAKEFILE, flags=re.MULTILINE), name
        assert f"| `make {name}` |" in COMMANDS_PAGE, name


def test_every_target_and_variable_that_the_page_names_exists() -> None:
    for text in (PAGE, COMMANDS_PAGE):
        for target, variables in re.findall(r"\bmake ([a-z-]+)((?: [A-Z_]+=)*)", text):
            if re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE):
                assert all(
                    re.search(rf"^{name}\b", MAKEFILE, flags=re.MULTILINE)
                    for name in re.findall(r"[A-Z_]+", variables)
                )
    assert set(re.findall(r"`make ([a-z-]+)", PAGE)) <= set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
