"""The package as users get it: a source archive, the wheel built from it, and an environment with that wheel."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from commands import ran
from redox_balancer.version import __version__

ROOT = Path(__file__).parents[2]


def tracked(folder: str) -> set[str]:
    """Files of a folder that git knows, relative to it."""
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return {line.removeprefix(f"{folder}/") for line in listed.stdout.splitlines() if (ROOT / line).is_file()}


OUTSIDE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def ended_well(command: Sequence[object], where: Path) -> str:
    """What a command prints outside the repository."""
    answer = ran(command, cwd=where, env=OUTSIDE)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel that is built from it."""
    sources, folder = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("built")
    for name in tracked("."):  # a copy: earlier builds leave lists of files beside the package
        if name.startswith("app/") or "/" not in name:
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, sources / name)
    # Without isolation the build takes setuptools of this environment, and asks no package index.
    ended_well([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, sources], folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment with the wheel, whose dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("fresh")
    ended_well([sys.executable, "-m", "venv", "--without-pip", folder], folder)
    (wheel,) = built.glob("*.whl")
    into = ("--python", folder / "bin/python", "install", "--no-deps", "--no-index", wheel)
    ended_well([sys.executable, "-m", "pip", *into], folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # This path is searched last, and links in it to packages that are installed to be edited are not followed.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


def test_wheel_and_source_archive_hold_every_file_of_the_package(built: Path) -> None:
    files = {f"redox_balancer/{name}" for name in tracked("app/redox_balancer")}
    assert "redox_balancer/data/thermodynamics/genome_covariance.tsv.gz" in files
    (wheel,), (archive,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == files
    with tarfile.open(archive) as sources:
        names = {name.partition("/")[2] for name in sources.getnames()}
    assert {f"app/{name}" for name in files} | {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_the_metadata_is_valid_and_complete(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    content = zipfile.ZipFile(wheel).read(f"redox_balancer-{__version__}.dist-info/METADATA")
    metadata = Metadata.from_email(content, validate=True)
    assert (metadata.name, str(metadata.version)) == ("redox_balancer", __version__)
    assert metadata.description_content_type == "text/markdown"
    assert Parser().parsestr(content.decode())["License-Expression"] == "MIT"
    assert {"train", "s3", "profile"} <= set(metadata.provides_extra or ())
    assert "Topic :: Scientific/Engineering :: Bio-Informatics" in metadata.classifiers


def test_an_installed_redox_answers_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    place = "import redox_balancer; print(redox_balancer.__file__)"
    assert ended_well([installed / "python", "-c", place], tmp_path).startswith(str(installed.parent))
    command = ("design", "--quick", "--condition", "complex_iii_closed", "--evaluations", 200, "--json")
    data = json.loads(ended_well([installed / "redox", *command], tmp_path))
    assert (data["version"], round(data["value"], 4)) == (__version__, 0.7006)
    ratios = ended_well([installed / "redox", "diagnose", "--ratios", "--conditions", "healthy"], tmp_path)
    assert "nad_c/nadh_c" in ratios
