"""`import redox_balancer as rb`: what it exports."""

import redox_balancer as rb
from commands import python


def test_every_name_is_there_and_documented() -> None:
    assert sorted(rb.__all__) == rb.__all__
    for name in rb.__all__:
        assert getattr(rb, name) is not None
        assert name in dir(rb)
    assert all(getattr(rb, name).__doc__ for name in rb.__all__ if name != "__version__")


def test_subpackages_do_not_hide_the_functions_of_their_names() -> None:
    code = """
import redox_balancer.design.task
from redox_balancer.search import heuristics
import redox_balancer as rb
from redox_balancer.design import task
print(callable(rb.search), callable(rb.design), callable(heuristics.greedy), task.Task is rb.Task)
"""
    assert python(code).stdout == "True True True True\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(rb, "rescue")
    assert python("from redox_balancer import *; print(evaluate.__name__, Task.__name__)").stdout == "evaluate Task\n"
