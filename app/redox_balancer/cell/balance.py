"""Element and charge balance of reactions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from redox_balancer.cell.network import Network

CHARGE = "charge"
TOLERANCE = 1e-6
"""Differences below this are rounding of stoichiometric coefficients."""

_ELEMENT = re.compile(r"([A-Z][a-z]*)([0-9]*\.?[0-9]*)")


@lru_cache(maxsize=5000)
def elements(formula: str) -> Mapping[str, float]:
    """Atoms of each element in a sum formula such as `C6H12O6`; `R` and `X` count as elements."""
    counts: defaultdict[str, float] = defaultdict(float)
    for element, count in _ELEMENT.findall(formula):
        counts[element] += float(count or 1)
    return MappingProxyType(dict(counts))


def imbalance(
    stoichiometry: Mapping[str, float], formulas: Mapping[str, str], charges: Mapping[str, int]
) -> dict[str, float]:
    """Add up what a reaction makes out of nothing, by element and `charge`; negative for what it loses.

    A metabolite without formula or charge counts as nothing, so a reaction in which one takes part shows up
    with the atoms of its partners.

    Returns
    -------
    dict
        Empty for a balanced reaction.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for metabolite, coefficient in stoichiometry.items():
        for element, count in elements(formulas.get(metabolite, "")).items():
            total[element] += coefficient * count
        total[CHARGE] += coefficient * charges.get(metabolite, 0)
    return {element: amount for element, amount in total.items() if abs(amount) > TOLERANCE}


def imbalanced_reactions(network: Network) -> dict[str, dict[str, float]]:
    """Find internal reactions (more than one metabolite) out of balance, with what each makes or loses.

    Biomass reactions are passed over (the objective, and whatever is called biomass): they stand for the whole
    cell and are not balanced by design.
    """
    boundary = set(network.boundary)
    found = {
        reaction: imbalance(network.stoichiometry_of(reaction), network.formulas, network.charges)
        for reaction in network.reactions
        if reaction not in boundary and reaction != network.objective and "biomass" not in reaction.lower()
    }
    return {reaction: difference for reaction, difference in found.items() if difference}
