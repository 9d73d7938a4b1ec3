"""The runs that version 0.1 trained."""

import json
import tarfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data" / "version_0_1"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
"""The answers of version 0.1 about these runs."""


def unpack_old_runs(folder: Path) -> Path:
    """Unpack the runs `known`, `untold`, `robust` and `guaranteed` into a folder."""
    with tarfile.open(DATA / "runs.tar.gz") as archive:
        archive.extractall(folder)  # noqa: S202 - our own; Python 3.11.2, of Debian 12, knows no filter
    return folder
