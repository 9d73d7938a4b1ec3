"""Fixtures that every test may use: the embedded core, an S3 stand-in, a browser and, where it is there, Recon3D."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from redox_balancer.cell.models import load_model, load_network

if TYPE_CHECKING:
    from redox_balancer.cell.models import LoadedModel
    from redox_balancer.cell.network import Network

pytest_plugins = ("browser", "deployment", "s3_stand_in")

RECON3D_VARIABLE = "REDOX_RECON3D"

# Drills take minutes to hours and print figures: `make drills` runs them.
DRILLS = os.environ.get("REDOX_DRILLS") == "1"
collect_ignore_glob = [] if DRILLS else ["drills/*"]

# Images, machines and engines: what takes ports, memory and kernels, one after the other.
MACHINES = {"image", "infra", "ops"}


class MachinesApart(LoadScopeScheduling):
    """Deals out files to the workers of `make test`, and all that builds machines to one of them."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        return "machines" if MACHINES & set(path.parts) else str(path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> MachinesApart:
    return MachinesApart(config, log)


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
def recon3d(recon3d_path: Path) -> LoadedModel:
    return load_model(recon3d_path)
