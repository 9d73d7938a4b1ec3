"""A run that several tests look at."""

from pathlib import Path

import pytest

from commands import redox
from model_server import e_coli_core, model_server  # noqa: F401 - fixtures


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
