"""A run that several tests read, an S3 stand-in, and a browser."""

from pathlib import Path

import pytest

from browser import chromium
from commands import succeeded
from model_server import e_coli_core, model_server
from python_path import support_on_path
from s3_stand_in import moto_address, s3

__all__ = ["chromium", "e_coli_core", "model_server", "moto_address", "s3", "support_on_path"]


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on two conditions."""
    folder = tmp_path_factory.mktemp("short") / "run"
    conditions = "healthy,complex_iii_closed"
    succeeded(
        *("train", "--timesteps", 20_000, "--num-actors", 0, "--conditions", conditions, "--checkpoint-dir", folder)
    )
    return folder
