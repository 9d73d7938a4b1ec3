"""Reaction equations as text, in the form of the packaged data files."""

import math
from typing import TYPE_CHECKING

from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.cell.network import Network


def parse_equation(equation: str) -> dict[str, float]:
    """Parse a reaction equation such as `2 h_c + o2_c --> h2o_c`: coefficients, negative for consumed metabolites.

    `-->` is a reaction that runs forward only and `<=>` a reversible one; either side may be empty. A RedoxError if
    there is no arrow, a coefficient is not a positive number, or a metabolite occurs twice.
    """
    left, arrow, right = equation.partition("<=>" if "<=>" in equation else "-->")
    if not arrow:
        raise RedoxError(f"no arrow in the equation {equation!r}", hint="write --> or <=>")
    stoichiometry: dict[str, float] = {}
    for side, sign in ((left, -1.0), (right, 1.0)):
        for term in filter(None, (part.strip() for part in side.split(" + "))):
            coefficient, _, metabolite = term.rpartition(" ")
            try:
                amount = float(coefficient or 1)
            except ValueError:
                amount = math.nan
            if not (math.isfinite(amount) and amount > 0) or metabolite in stoichiometry:
                raise RedoxError(
                    f"cannot read {term!r} in the equation {equation!r}",
                    hint="write each metabolite once, optionally preceded by a positive number",
                )
            stoichiometry[metabolite] = sign * amount
    return stoichiometry


def equation_text(network: "Network", reaction: str) -> str:
    """The equation of a reaction of a network, with every digit: `2 h_c + o2_c --> h2o_c`."""
    low, high = network.bounds_of(reaction)
    stoichiometry = network.stoichiometry_of(reaction)

    def side(sign: float) -> str:
        terms = ((metabolite, sign * value) for metabolite, value in stoichiometry.items() if sign * value > 0)
        return " + ".join(f"{'' if value == 1 else f'{value!r} '.replace('.0 ', ' ')}{name}" for name, value in terms)

    return f"{side(-1.0)} {'<=>' if low < 0 < high else '-->'} {side(1.0)}".strip()
