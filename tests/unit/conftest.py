import pytest

from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task


@pytest.fixture(scope="session")
def space() -> DesignSpace:
    return Task().space()


@pytest.fixture(scope="session")
def evaluator(space: DesignSpace) -> Evaluator:
    return Evaluator(space)
