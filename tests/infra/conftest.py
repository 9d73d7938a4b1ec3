"""The stand-in of AWS for every test of a machine; tests of the CDK are left out where it cannot run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from deployment import assembly, cdk
from ops.simulator.aws import StandIn, stand_in

__all__ = ["assembly", "cdk"]

NODE = all(map(shutil.which, ("node", "npm")))
collect_ignore = [] if NODE else ["test_template.py", "test_deployment.py", "test_diagram.py"]


def pytest_report_header() -> str:
    return "" if NODE else "left out: tests of the CDK, which needs node and npm (apt-get install nodejs npm)"


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("aws")) as server:
        yield server
        assert server.hidden_failures() == []
