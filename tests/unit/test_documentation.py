"""docs/commands.md lists every command and target; no page mentions an option, target or page that does not exist."""

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from commands import commands_of
from redox_balancer.cell.cell_lines import load_cell_lines
from redox_balancer.cli import app

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
COMMANDS = PAGES["docs/commands.md"]
PROGRAM = {f"redox {option}" for option in ("--help", "--version", "--install-completion", "--show-completion")}
MAKEFILE = (ROOT / "Makefile").read_text()


@cache
def commands() -> dict[str, Any]:
    """Every subcommand by its full name."""
    return {name: each for name, each in commands_of(app, "redox").items() if not hasattr(each, "commands")}


def options(command: Any) -> set[str]:
    """Options of a command, without the deprecated names that its help hides."""
    return {
        name
        for parameter in command.params
        if not getattr(parameter, "hidden", False)
        for name in [*parameter.opts, *parameter.secondary_opts]
        if name.startswith("--")
    } | {"--help", "--debug"}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, flags=re.MULTILINE))


def typed(program: str, text: str) -> list[str]:
    """Every command line of a program in a page, in code blocks and within sentences."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for language, block in blocks if language == "bash" for line in block.splitlines()]
    return [line for line in [*re.findall(r"`([^`\n]+)`", text), *lines] if line.startswith(f"{program} ")]


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_in_the_table_and_has_an_example(name: str) -> None:
    assert re.search(rf"^\| `{name}[ `]", COMMANDS, flags=re.MULTILINE)
    assert f"Example: {name}" in str(commands()[name].epilog)


def test_every_command_line_in_the_pages_and_in_the_examples_exists() -> None:
    examples = [str(command.epilog).removeprefix("Example: ") for command in commands().values()]
    lines = [line for text in PAGES.values() for line in typed("redox", text)]
    assert len(lines) > 40
    for line in [*lines, *(part.strip() for example in examples for part in example.split(";"))]:
        name = max((name for name in commands() if f"{line} ".startswith(f"{name} ")), key=len, default=None)
        assert name or line.partition("#")[0].strip() in PROGRAM, line
        if name:
            used = set(re.findall(r"(?<= )--[a-z0-9-]+", line))
            assert used <= options(commands()[name]), line


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"docs/operations.md"}))  # that page has tests of its own
def test_every_option_that_a_page_mentions_exists(page: str) -> None:
    known = set().union(*map(options, commands().values()))
    mentioned = {shlex.split(code)[0] for code in re.findall(r"`(--[a-z][^`]*)`", PAGES[page])}
    assert mentioned <= known


def test_the_table_of_cell_lines_that_a_page_shows_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/cell_lines.md").read_text()
    file = tmp_path / "lines.csv"
    file.write_text(page.split("takes a table", 1)[1].split("```text\n", 1)[1].split("```", 1)[0])
    assert list(load_cell_lines(file)) == ["patient", "control"]


def test_each_fold_of_the_genome_withholds_the_cell_lines_that_it_is_asked_about() -> None:
    withheld = []
    for fold in range(1, 5):
        asked = ("evaluation", f"TASK=genome-{fold}", "MODEL=core.json.gz")
        printed = subprocess.run(["make", "-nC", ROOT, *asked], capture_output=True, text=True, check=True).stdout
        trained, evaluated = (set(lines.split(",")) for lines in re.findall(r"--cell (\S+)", printed))
        assert trained | evaluated == set(load_cell_lines())
        assert not trained & evaluated
        withheld += evaluated
    assert len(withheld) == len(set(withheld)) == len(load_cell_lines())


def test_make_targets_and_their_documentation_agree() -> None:
    rows = re.findall(r"^\| `make ([a-z-]+)` \|", COMMANDS, flags=re.MULTILINE)
    assert sorted(rows) == sorted(targets() - {"help"})
    listed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    for target in targets():
        assert re.search(rf"^  {target} +\S", listed, flags=re.MULTILINE)
    for text in PAGES.values():
        for line in typed("make", text):
            target, *words = line.partition("#")[0].split()[1:]
            assert target in targets(), line
            for variable in [word.partition("=")[0] for word in words if "=" in word]:
                assert re.search(rf"^{variable} \?=", MAKEFILE, flags=re.MULTILINE), line


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_link_between_pages_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]*)?)\)", PAGES[page]):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_index_and_the_site_list_every_page() -> None:
    pages = {page.removeprefix("docs/") for page in PAGES} - {"README.md"}
    assert set(re.findall(r"\(([\w-]+\.md)\)", PAGES["docs/index.md"])) == pages - {"index.md"}
    assert set(re.findall(r"^ +- ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)) == pages


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 150
    assert len(PAGES["README.md"].split()) <= 1_200
