"""Layout of the observations of `RedoxEnv`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Change
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.space import DesignSpace

LOG_RATIO = 10.0  # what the logarithm of a ratio is divided by in an observation

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


@dataclass(frozen=True)
class TrainedLayout:
    """Entries of an observation that do not describe a candidate, as a policy was trained with them.

    `changes` are the bounds of the limits among `names`, in their order: a limit reads 1 at `high` and above.
    """

    names: tuple[str, ...]
    changes: tuple[Change, ...]

    @classmethod
    def recorded(cls, environment: Mapping[str, Any], features: Sequence[str]) -> Self | None:
        """The layout in the fingerprint of the environments of a training; None where the features are others."""
        names, end = environment["observation"], len(environment["observation"]) - len(features)
        changes = [
            Change(reaction=reaction, side=side, value=high, low=0.0, high=high, source="", opens=bool(opens))
            for reaction, side, high, *opens in environment["parameters"]
        ]
        return cls(tuple(names[:end]), tuple(changes)) if names[end:] == list(features) else None


class CellEntries:
    """Writes limits and ratios into the entries that follow `start` others of an observation.

    A bound that the design space does not change reads as on its medium: 1 where nothing limits it, and less where
    the training opened it. Bounds that the policy was not trained with are left out.
    """

    def __init__(self, space: DesignSpace, changes: Sequence[Change], start: int) -> None:
        own = {change.key: position for position, change in enumerate(space.changes)}
        seen = [change if change.key in own else change.of(space.network) for change in changes]
        self._limits, self._ratios_at = slice(start, start + len(seen)), start + len(seen)
        self._own = np.full(len(own) + 1, np.inf)
        self._from = np.asarray([own.get(change.key, len(own)) for change in seen], dtype=np.intp)
        opened = {change.key for change in space.changes if change.opens}
        self._most = np.asarray(
            [space.on_medium(each) if each.opens and each.key not in opened else np.inf for each in seen]
        )
        # A bound that is 0 under every condition shows as 0.
        self._tops = np.asarray([change.high or 1.0 for change in seen])

    def write(self, observed: NDArray[np.float32], limits: FloatArray, ratios: Sequence[float]) -> None:
        """Write the limits of the bounds of the design space, mmol/gDW/h, and ratios into an observation."""
        self._own[:-1] = limits
        limits = np.minimum(self._own[self._from], self._most)
        observed[self._limits] = np.minimum(limits / self._tops, 1.0)
        observed[self._ratios_at :][: len(ratios)] = np.log(ratios) / LOG_RATIO


def fourier_features(measured: Sequence[float]) -> NDArray[np.float64]:
    """Measurements, shape (M,), followed by their sines and cosines frequency by frequency, shape (9 M,)."""
    angles = np.pi * np.outer(FREQUENCIES, measured).ravel()
    return np.concatenate((measured, np.sin(angles), np.cos(angles)))
