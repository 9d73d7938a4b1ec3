"""The stand-in of AWS, for every test that deploys or that runs on a machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aws_stand_in import StandIn, stand_in


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("aws")) as server:
        yield server
