"""The stand-in of AWS and the command line of the CDK, for every test that deploys or that runs on a machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_stand_in import StandIn, stand_in

ROOT = Path(__file__).parents[2]
NODE = all(map(shutil.which, ("node", "npm")))
collect_ignore = [] if NODE else ["test_template.py", "test_deployment.py", "test_diagram.py"]


def pytest_report_header() -> str:
    return "" if NODE else "left out: tests of the CDK, which needs node and npm (apt-get install nodejs npm)"


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("aws")) as server:
        yield server
        assert server.hidden_failures() == []


@pytest.fixture(scope="session")
def cdk() -> Path:
    """The pinned command line, installed if it is not."""
    subprocess.run(["make", "-C", ROOT, "node_modules/.bin/cdk"], check=True, capture_output=True)
    return ROOT / "node_modules" / ".bin" / "cdk"
