"""Layout of the observations of `RedoxEnv`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from redox_balancer.design.space import DesignSpace

REMAINING = ("placements left", "budget left", "membrane budget left")
MEASURED = ("growth without construct", "growth", "capacity")
"""The last entries of an observation where the condition is shown."""

FREQUENCIES = (1, 2, 4, 8)
"""Half periods per unit of the Fourier features of a measurement under a hidden condition.

Two conditions may differ in the second digit of a measurement and in everything that follows from it. A network
learns such functions late; sines and cosines of the measurement bring them within reach (Tancik et al. 2020, Fourier
features let networks learn high frequency functions in low dimensional domains, NeurIPS 33). Without them policies
ended with one construct for all conditions.
"""


def layout(
    space: DesignSpace, placements: int, *, hidden_condition: bool = False, flat: bool = False
) -> tuple[str, ...]:
    """Name of each entry of an observation that does not describe a candidate.

    It depends on the conditions, the maximum number of placements K and on whether the condition is hidden. A flat
    observation describes no candidates, and starts with the level of each placement of the library.
    """
    levels = (f"level:{placement.id}" for placement in space.placements if flat)
    if hidden_condition:
        features = (f" as {frequency} {function}" for function in ("sin", "cos") for frequency in FREQUENCIES)
        measured = [f"{quantity}{feature}" for feature in ("", *features) for quantity in MEASURED[1:]]
        history = (f"{entry} after {number}" for number in range(1, placements + 1) for entry in measured)
        return (*levels, *REMAINING, *history)
    limits = (f"limit:{change.reaction}:{change.side.value}" for change in space.changes)
    ratios = (f"ratio:{one.ratio}" for one in (space.ratios.held if space.ratios else ()))
    return (*levels, *limits, *ratios, *REMAINING, *MEASURED)


def fourier_features(measured: Sequence[float]) -> NDArray[np.float64]:
    """Measurements, shape (M,), followed by their sines and cosines frequency by frequency, shape (9 M,)."""
    angles = np.pi * np.outer(FREQUENCIES, measured).ravel()
    return np.concatenate((measured, np.sin(angles), np.cos(angles)))
