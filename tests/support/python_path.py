"""PYTHONPATH of the processes that a test starts."""

from __future__ import annotations

import os
from pathlib import Path

SUPPORT = Path(__file__).parent


def python_path(*folders: Path) -> str:
    """Return PYTHONPATH with these folders and `tests/support` before those it has."""
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join([*map(str, (*folders, SUPPORT)), *([before] if before else [])])
