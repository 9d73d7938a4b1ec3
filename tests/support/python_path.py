"""Processes that tests start: what they import, and files that they must not take for modules."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

SHADOWS = ("random", "queue", "cobra", "torch", "numpy", "socket", "pickle", "ray", "redox_balancer")


@pytest.fixture(scope="session", autouse=True)
def support_on_path() -> Iterator[None]:
    """Actors and programs import `tests/support`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        yield


def write_shadows(folder: Path) -> None:
    """Write files with the names of modules, each of which ends the process that imports it."""
    for shadow in SHADOWS:
        (folder / f"{shadow}.py").write_text("raise SystemError('this file is no module')\n")
