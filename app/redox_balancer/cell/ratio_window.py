"""The window of a ratio in which growth is largest, from growth as a function of the ratio."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.ratio_table import Ratio

WITHIN = 0.05  # growth this much below the largest still belongs to the window of largest growth, relative
NO_ANSWER = 1000.0  # width from which on a window says nothing about the ratio
STEPS_PER_DECADE = 2
PRECISION = 0.04  # width to which the end of a window is bracketed, in decades
FINE = 0.002  # the same where two windows are compared


@dataclass(frozen=True)
class RatioOptimum:
    """The largest growth at any value of a ratio, 1/h, and the window (`low`, `high`) within `WITHIN` of it."""

    ratio: Ratio
    growth: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Quotient of both ends."""
        return self.high / self.low

    @property
    def best(self) -> float | None:
        """r*, the geometric mean of the window; None where it is wider than `NO_ANSWER`."""
        return math.sqrt(self.low * self.high) if self.width <= NO_ANSWER else None


def steps_of(span: tuple[float, float], per_decade: int = STEPS_PER_DECADE) -> FloatArray:
    """Steps between two decimal logarithms of a ratio."""
    return np.linspace(*span, 2 + math.ceil(per_decade * (span[1] - span[0])))


def window_of(
    ratio: Ratio,
    growth: Callable[[float], float],
    span: tuple[float, float],
    precision: float = PRECISION,
    enough: float = 0.0,
) -> RatioOptimum | None:
    """The window in which growth stays within `WITHIN` of the largest; None where no ratio allows growth.

    `growth` and `span` are in decimal logarithms of the ratio, and so is the `precision` of the ends of the window.
    Where no step has `enough` growth, 1/h, the peak between them is looked for.
    """
    steps = steps_of(span)
    found = np.array([growth(step) for step in steps.tolist()])
    highest = int(found.argmax())
    if found[highest] == 0.0:
        return None
    if found[highest] < enough:
        step, value = peak_near(growth, float(steps[highest]))
        place = int(np.searchsorted(steps, step))
        steps, found = np.insert(steps, place, step), np.insert(found, place, value)
    largest = float(found.max())
    kept = np.flatnonzero(found >= (1.0 - WITHIN) * largest)

    def keeps(step: float) -> bool:
        return growth(step) >= (1.0 - WITHIN) * largest

    first, last = int(kept[0]), int(kept[-1])
    ends = [
        10.0 ** _bracketed(keeps, float(steps[inside]), float(steps[max(outside, 0)]), precision)
        for inside, outside in ((first, first - 1), (last, min(last + 1, len(steps) - 1)))
    ]
    return RatioOptimum(ratio, largest, *ends)


def peak_near(growth: Callable[[float], float], step: float) -> tuple[float, float]:
    """Where growth is largest within a step of another, as decimal logarithm of the ratio, and growth there, 1/h."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - 17 MB that no actor needs

    around = step - 1.0 / STEPS_PER_DECADE, step + 1.0 / STEPS_PER_DECADE
    found = minimize_scalar(lambda at: -growth(at), bounds=around, method="bounded", options={"xatol": PRECISION})
    return float(found.x), -float(found.fun)


def _bracketed(holds: Callable[[float], bool], inside: float, outside: float, precision: float) -> float:
    """The last step within `precision` at which a condition holds."""
    while abs(outside - inside) > precision:
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside
