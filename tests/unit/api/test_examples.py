"""The example of every public name works as it stands."""

import doctest
import inspect
import io

import numpy as np
import pytest

import redox_balancer as rb

FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
PUBLIC = [name for name in rb.__all__ if name != "__version__"]


def run(text: str, name: str) -> None:
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(text), {"np": np}, name, name, 0)
    assert test.examples, f"{name} has no example"
    report = io.StringIO()
    results = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.write)
    assert results.failed == 0, report.getvalue()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example_that_works(name: str) -> None:
    text = getattr(rb, name).__doc__
    assert "Examples\n" in text
    run(text, name)


def test_the_example_of_the_package_works() -> None:
    run(rb.__doc__ or "", "redox_balancer")
