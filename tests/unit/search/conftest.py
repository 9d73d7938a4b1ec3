import os

import pytest

from redox_balancer.design.space import DesignSpace
from redox_balancer.search.exhaustive import ExhaustiveReference, exhaustive


@pytest.fixture(scope="session")
def references(space: DesignSpace) -> dict[str, ExhaustiveReference]:
    """The ten best of all constructs of up to two placements, under each condition."""
    return exhaustive(space, 2, keep=10, processes=os.cpu_count() or 1)
