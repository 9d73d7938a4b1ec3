"""A run and a model that several tests use."""

from pathlib import Path

import cobra
import pytest

from commands import redox
from redox_balancer.cell.models import load_model, save_model


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two conditions that has learned little."""
    folder = tmp_path_factory.mktemp("short") / "run"
    conditions = "healthy,complex_iii_closed"
    trained = redox(
        *("train", "--timesteps", 20_000, "--num-actors", 0, "--conditions", conditions, "--checkpoint-dir", folder)
    )
    assert trained.returncode == 0, trained.stderr
    return folder


@pytest.fixture(scope="session")
def e_coli_core(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The compressed file that BiGG publishes, made from the copy in COBRApy."""
    source = Path(cobra.__file__).parent / "data" / "textbook.xml.gz"
    path = tmp_path_factory.mktemp("bigg") / "e_coli_core.json.gz"
    save_model(load_model(source).model, path)
    return path.read_bytes()
