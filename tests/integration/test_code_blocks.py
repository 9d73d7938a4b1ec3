"""The code blocks of README and pages run as they stand, in one folder and in the order of the pages.

What cannot run here is listed with the reason, and its arguments are read as the command reads them.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from commands import commands_of, python, redox, succeeded
from redox_balancer.cell.records import packaged
from redox_balancer.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = {
    r"^make ": "tests/unit/test_documentation.py compares targets and variables with the Makefile",
    r"^python -m ops ": "needs a deployment: tests/ops reads the options of docs/operations.md",
    r"^source ": "the tests run in this environment",
    r"^pipx? |^uvx |^python -m build ": "asks an index: tests/integration/test_packaging.py installs without one",
    r"^redox --(install-completion|version)": "changes a home folder: tests/unit/cli/test_commands.py uses another",
    r"[Rr]econ3[dD]|core\.json": "needs Recon3D and takes minutes: tests marked with it read the whole way",
    r"^redox train |^redox report experiments/ten$": "trains for minutes to hours",
    r"^redox evaluate ": "needs several trained runs, and compares for minutes: tests/integration/test_evaluate.py",
    r"^redox advise ": "measures for two minutes: tests/integration/test_advise.py",
    r"^redox explore": "serves a page until Ctrl-C: it has tests of its own",
    r"^redox model curate mine.xml": "a model of the reader: tests/integration/test_curate_command.py",
    r"s3://": "needs a bucket: tests/integration/test_remote_run.py has one",
    r"^docker run |cdk bootstrap": "needs a Docker engine, or an account",
    r"^import redox_balancer as rb\n(.*\n)*run = rb.train": "tests/unit/api/test_readme.py runs it, with fewer steps",
    r"Path\(\"Recon3D": "needs Recon3D",
}
EXPORTED = {"docs/designs.md": "designs/rescue"}
"""Folder that a block in Python runs in, below that of the page."""


class Part(NamedTuple):
    """A command line, or a block in Python."""

    page: str
    language: str
    text: str

    @property
    def reason(self) -> str | None:
        """Why it does not run."""
        return next((reason for rule, reason in NOT_RUN.items() if re.search(rule, self.text)), None)


def parts() -> list[Part]:
    found = []
    for path in PAGES:
        page = path.relative_to(ROOT).as_posix()
        blocks = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        for language, block in blocks:
            if language == "python":
                found.append(Part(page, language, block))
            elif language == "bash":
                lines = re.sub(r"\\\n\s*", "", block).splitlines()
                found += [Part(page, language, line.strip()) for line in lines if line.strip()]
    return found


PARTS = parts()


def test_every_reason_is_needed() -> None:
    assert len(PARTS) > 100
    assert [rule for rule in NOT_RUN if not any(re.search(rule, part.text) for part in PARTS)] == []


def test_arguments_of_commands_that_do_not_run_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = commands_of(app, "redox")
    read = 0
    for part in PARTS:
        if part.language == "bash" and part.reason and part.text.startswith("redox "):
            words = shlex.split(part.text, comments=True)
            name = next((name for size in (3, 2) if (name := " ".join(words[:size])) in known), None)
            if name:
                known[name].make_context(name, words[len(name.split()) :])  # a UsageError names the fault
                read += 1
    assert read > 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the blocks run: with experiments/first, trained for fewer steps, and with a library of the reader's."""
    made = tmp_path_factory.mktemp("reader")
    succeeded("train", "--timesteps", 2_000, "--num-actors", 0, "--checkpoint-dir", made / "experiments/first")
    shutil.copy(packaged("enzymes.toml"), made / "more.toml")
    (made / "docs").mkdir()
    return made


@pytest.fixture(scope="module")
def seen() -> set[str]:
    """Command lines that ran: pages repeat some, and the answer would be the same."""
    return set()


@pytest.mark.parametrize("page", sorted({part.page for part in PARTS if not part.reason}))
def test_the_blocks_of_a_page_run_in_their_order(page: str, folder: Path, seen: set[str]) -> None:
    for part in PARTS:
        if part.page != page or part.reason or part.text in seen:
            continue
        seen.add(part.text)
        if part.language == "python":
            answer = python(part.text, cwd=folder / EXPORTED.get(page, "."))
        else:
            program, *arguments = shlex.split(part.text, comments=True)
            assert program == "redox", part.text
            answer = redox(*arguments, cwd=folder)
        assert answer.returncode == 0, f"{part.text}\n{answer.stderr}"
        assert answer.stdout, part.text
