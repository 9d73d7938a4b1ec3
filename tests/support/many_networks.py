"""Questions to `REDOX_DRILL_NETWORKS` generated networks from seed `REDOX_DRILL_FIRST` on, on all cores."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from rich.progress import track

COUNT = int(os.environ.get("REDOX_DRILL_NETWORKS", "100000"))
FIRST = int(os.environ.get("REDOX_DRILL_FIRST", "0"))

Answer = TypeVar("Answer")


def over_networks(question: Callable[[int], Answer]) -> Iterator[Answer]:
    """Ask for every seed, in their order, with a progress bar."""
    with multiprocessing.get_context("spawn").Pool() as pool:
        answers = pool.imap(question, range(FIRST, FIRST + COUNT), chunksize=50)
        yield from track(answers, f"{COUNT:,} networks", total=COUNT)
