"""PYTHONPATH of the processes that a test starts, and files that must not take the place of modules."""

import os
from pathlib import Path

SUPPORT = Path(__file__).parent
SHADOWS = ("random", "queue", "cobra", "torch", "numpy", "socket", "pickle", "ray", "redox_balancer")


def python_path(*folders: Path) -> str:
    """Return PYTHONPATH with these folders and `tests/support` before those it has."""
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join([*map(str, (*folders, SUPPORT)), *([before] if before else [])])


def write_shadows(folder: Path) -> None:
    """Write files with the names of modules, each of which ends the process that imports it."""
    for shadow in SHADOWS:
        (folder / f"{shadow}.py").write_text("raise SystemError('this file is no module')\n")
