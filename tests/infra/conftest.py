"""The AWS stand-in for every test of a machine, and the synthesised templates; tests of the CDK need node."""

import shutil
from collections.abc import Iterator

import pytest

from deployment import assembly, cdk
from ops.simulator.aws import StandIn, stand_in
from templates import Templates

__all__ = ["assembly", "cdk"]

NODE = all(map(shutil.which, ("node", "npm")))
OF_THE_CDK = ("function", "guard", "template", "user_data", "deployment", "diagram", "destroy")
collect_ignore = [] if NODE else [f"test_{name}.py" for name in OF_THE_CDK]


def pytest_report_header() -> str:
    return "" if NODE else "excluded: tests of the CDK, which needs node and npm (apt-get install nodejs npm)"


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("aws")) as server:
        yield server
        assert server.hidden_failures() == []


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Templates]:
    """The templates of every kind of deployment."""
    from templates import VARIANTS, synthesise  # noqa: PLC0415 - loads the CDK

    return {name: synthesise(tmp_path_factory.mktemp(name), changes) for name, changes in VARIANTS.items()}


@pytest.fixture
def default(variants: dict[str, Templates]) -> Templates:
    return variants["default"]
