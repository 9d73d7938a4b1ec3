"""The version of the package is written once; what repeats it follows."""

import re
import tomllib
from pathlib import Path

import redox_balancer

ROOT = Path(__file__).parents[2]


def test_the_metadata_takes_the_version_of_the_package() -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in metadata["project"]
    assert metadata["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "redox_balancer.version.__version__"}


def test_no_source_repeats_the_version() -> None:
    sources = [path for folder in ("app", "infra", "ops", "docker") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in sources if f'"{redox_balancer.__version__}"' in path.read_text()] == ["version.py"]


def test_the_changelog_and_the_citation_follow_the_version() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert released[0] == redox_balancer.__version__
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE)
    assert cited is not None
    assert cited[1].strip("\"'") == redox_balancer.__version__
