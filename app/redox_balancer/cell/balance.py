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
"""Smaller imbalances are round-off of the stoichiometric coefficients."""

_ELEMENT = re.compile(r"([A-Z][a-z]*)([0-9]*\.?[0-9]*)")


@lru_cache(maxsize=5000)
def elements(formula: str) -> Mapping[str, float]:
    """Count the atoms of each element in a sum formula such as `C6H12O6`; `R` and `X` count as elements."""
    counts: defaultdict[str, float] = defaultdict(float)
    for element, count in _ELEMENT.findall(formula):
        counts[element] += float(count or 1)
    return MappingProxyType(dict(counts))


def imbalance(
    stoichiometry: Mapping[str, float], formulas: Mapping[str, str], charges: Mapping[str, int]
) -> dict[str, float]:
    """Compute the element and charge imbalance of a reaction.

    A metabolite without formula or charge contributes nothing, so a reaction in which it takes part is imbalanced by
    the atoms of the other metabolites.

    Parameters
    ----------
    stoichiometry
        Coefficient of each metabolite, negative for consumed ones.
    formulas, charges
        Sum formula and charge of each metabolite that has one.

    Returns
    -------
    dict
        Atoms of each element, and `charge`, produced per unit of flux, negative where consumed; empty for a balanced
        reaction.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for metabolite, coefficient in stoichiometry.items():
        for element, count in elements(formulas.get(metabolite, "")).items():
            total[element] += coefficient * count
        total[CHARGE] += coefficient * charges.get(metabolite, 0)
    return {element: amount for element, amount in total.items() if abs(amount) > TOLERANCE}


def imbalanced_reactions(network: Network) -> dict[str, dict[str, float]]:
    """Find the internal reactions (with more than one metabolite) that are not balanced.

    Biomass reactions (the objective, and every reaction with "biomass" in its id) are skipped: they represent the
    whole cell and are imbalanced by design.

    Returns
    -------
    dict
        `imbalance` of each imbalanced reaction.
    """
    boundary = set(network.boundary)
    found = {
        reaction: imbalance(network.stoichiometry_of(reaction), network.formulas, network.charges)
        for reaction in network.reactions
        if reaction not in boundary and reaction != network.objective and "biomass" not in reaction.lower()
    }
    return {reaction: difference for reaction, difference in found.items() if difference}
