import pytest

from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.design.value import Evaluator


@pytest.fixture(scope="session")
def space() -> DesignSpace:
    return Task().space()


@pytest.fixture(scope="session")
def evaluator(space: DesignSpace) -> Evaluator:
    return Evaluator(space)
