"""Fixtures for every test (the embedded core and, where it is present, Recon3D), and which tests share a worker."""

import os
from pathlib import Path

import pytest

from redox_balancer.cell.models import LoadedModel, load_model, load_network
from redox_balancer.cell.network import Network

RECON3D_VARIABLE = "REDOX_RECON3D"
HUMAN_GEM_VARIABLE = "REDOX_HUMAN_GEM"

# Drills take minutes to hours and print measurements: `make drills` runs them.
DRILLS = os.environ.get("REDOX_DRILLS") == "1"
collect_ignore_glob = [] if DRILLS else ["drills/*"]

# Containers share one engine, and simulated hosts ports and kernel objects: those of a kind run one after another.
ONE_AT_A_TIME = {"image": "containers", "infra": "hosts", "ops": "hosts"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file on one worker of `--dist loadgroup`; those of containers, of hosts and of Recon3D share one."""
    large = {item.path for item in items if "recon3d" in getattr(item, "fixturenames", ())}
    for item in items:
        alone = [ONE_AT_A_TIME[part] for part in item.nodeid.partition("::")[0].split("/") if part in ONE_AT_A_TIME]
        group = alone[0] if alone else "recon3d" if item.path in large else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def core() -> Network:
    return load_network()


@pytest.fixture(scope="session")
def recon3d_path() -> Path:
    beside = Path(__file__).parents[2] / "shared" / "data" / "Recon3D.json.gz"
    path = Path(os.environ.get(RECON3D_VARIABLE, beside))
    if not path.is_file():
        pytest.skip(f"no Recon3D file: set {RECON3D_VARIABLE} to one (redox model fetch recon3d)")
    return path


@pytest.fixture(scope="session")
def human_gem_path() -> Path:
    given = os.environ.get(HUMAN_GEM_VARIABLE)
    if given is None:
        pytest.skip(f"no Human-GEM file: set {HUMAN_GEM_VARIABLE} to one (redox model fetch human-gem)")
    return Path(given)


@pytest.fixture(scope="session")
def recon3d(recon3d_path: Path) -> LoadedModel:
    return load_model(recon3d_path)
