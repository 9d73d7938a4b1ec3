"""The files expected in a repository are valid, and every name in them exists."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from infra.settings import ROOT

FORGE = ROOT / ".github"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_workflow_calls_the_gate() -> None:
    (job,) = read(FORGE / "workflows/ci.yml")["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    assert (ROOT / ".ci/run").stat().st_mode & 0o100


def test_pre_commit_runs_the_tools_of_the_lock() -> None:
    hooks = [hook for repository in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}  # nothing is fetched
    programs = [hook["entry"].split()[0] for hook in hooks]
    assert all(program.startswith(".venv/bin/") for program in programs)
    tools = {Path(program).name for program in programs}
    assert tools == {"ruff", "mypy", "hadolint", "shellcheck"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {re.split(r"[<>=\[]", each)[0].removesuffix("-bin").removesuffix("-py") for each in extras["dev"]}
    wanted |= {re.split(r"[<>=\[]", each)[0].removesuffix("-bin").removesuffix("-py") for each in extras["image"]}
    assert tools <= wanted


def test_issue_templates_have_the_fields_that_forges_need() -> None:
    for path in sorted((FORGE / "ISSUE_TEMPLATE").glob("*.yml")):
        form = read(path)
        if path.stem != "config":
            assert form["name"]
            assert form["description"]
            assert all(field["attributes"]["label"] for field in form["body"])


def test_the_citation_names_the_project_and_no_person() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The redox_balancer developers"}]
    assert citation["license"] in (ROOT / "LICENSE").read_text()


def test_no_file_names_a_package_registry_or_a_forge() -> None:
    names = ("CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", ".editorconfig", ".pre-commit-config.yaml")
    for path in [*(ROOT / name for name in names), *(path for path in FORGE.rglob("*") if path.is_file())]:
        assert "://" not in path.read_text(), path


def test_contributing_names_targets_and_pages_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", text)) <= targets
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (ROOT / link).exists()
