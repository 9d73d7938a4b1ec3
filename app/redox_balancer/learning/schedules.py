"""Learning rate and entropy cost as pure functions of environment steps, so a resumed run keeps its curve."""

from __future__ import annotations


def linear(step: int, *, total: int, start: float, end: float) -> float:
    """Value of a straight line from `start` at step 0 to `end` at step `total`, constant from there on.

    Parameters
    ----------
    step
        Environment steps so far, over all processes of the run.
    total
        Environment steps at which `end` is reached; above 0.
    start, end
        The values at both ends; a constant where they are equal.
    """
    fraction = min(max(step / total, 0.0), 1.0)
    return (1.0 - fraction) * start + fraction * end
