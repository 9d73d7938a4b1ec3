"""Learning rate and entropy cost as pure functions of environment steps, so that a resumed run follows its curve."""

import math


def linear(step: int, *, total: int, start: float, end: float) -> float:
    """Return the value of a line from `start` at step 0 to `end` at step `total`, constant afterwards.

    Steps are those of the environment over all processes of the run; `total` is above 0.
    """
    fraction = min(max(step / total, 0.0), 1.0)
    return (1.0 - fraction) * start + fraction * end


def geometric(step: int, *, total: int, start: float, end: float) -> float:
    """Return a value that changes from `start` to `end` by equal factors, as `linear` does by equal differences.

    It spends as many steps between 0.1 and 0.01 as between 0.01 and 0.001, which an entropy cost needs where the
    rewards of different episodes differ by orders of magnitude. Both ends are above 0, or both are 0.
    """
    if start == end:
        return start
    return math.exp(linear(step, total=total, start=math.log(start), end=math.log(end)))
