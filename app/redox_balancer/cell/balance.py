"""Element and charge balance of reactions."""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from redox_balancer.cell.network import Network

CHARGE = "charge"
TOLERANCE = 1e-6  # smaller imbalances are round-off of the stoichiometric coefficients

_ELEMENT = re.compile(r"([A-Z][a-z]*|\*)([0-9]+\.?[0-9]*|\.[0-9]+)?")
_FORMULA = re.compile(rf"(?:{_ELEMENT.pattern}|\.)+")
_GROUP = re.compile(r"\(([^()]*)\)([0-9]*)(?![a-z])")


@lru_cache(maxsize=5000)
def elements(formula: str) -> Mapping[str, float]:
    """Count the atoms of each element in a sum formula; empty if it cannot be read, as `(C3H3O3)n`.

    `R`, `X` and `*` count as elements. Brackets may be nested; a point joins the parts of an adduct (`C3H3O3P.Na`).
    """
    while "(" in formula:
        expanded = _GROUP.sub(_multiplied, formula)
        if expanded == formula:
            return MappingProxyType({})
        formula = expanded
    counts: defaultdict[str, float] = defaultdict(float)
    if _FORMULA.fullmatch(formula):
        for element, count in _ELEMENT.findall(formula):
            counts[element] += float(count or 1)
    return MappingProxyType(dict(counts))


def _multiplied(group: re.Match[str]) -> str:
    factor = int(group[2] or 1)
    return _ELEMENT.sub(lambda atom: f"{atom[1]}{factor * float(atom[2] or 1)!r}", group[1])


def imbalance(
    stoichiometry: Mapping[str, float], formulas: Mapping[str, str], charges: Mapping[str, int]
) -> dict[str, float]:
    """Compute the atoms of each element, and `charge`, produced per unit of flux, negative where consumed.

    It is empty for a balanced reaction. A metabolite without formula contributes nothing, so a reaction in which it
    takes part is imbalanced by the atoms of the other metabolites. Charge is balanced only where that of every
    metabolite is known.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for metabolite, coefficient in stoichiometry.items():
        for element, count in elements(formulas.get(metabolite, "")).items():
            total[element] += coefficient * count
    if all(metabolite in charges for metabolite in stoichiometry):
        total[CHARGE] = sum(coefficient * charges[metabolite] for metabolite, coefficient in stoichiometry.items())
    return {element: amount for element, amount in total.items() if abs(amount) > TOLERANCE}


def imbalanced_reactions(network: Network) -> dict[str, dict[str, float]]:
    """Find the internal reactions (with more than one metabolite) that are not balanced, and the `imbalance` of each.

    Biomass reactions (the objective, and every reaction with "biomass" in its id) are skipped: they represent the
    whole cell and are imbalanced by design.
    """
    boundary = set(network.boundary)
    found = {
        reaction: imbalance(network.stoichiometry_of(reaction), network.formulas, network.charges)
        for reaction in network.reactions
        if reaction not in boundary and reaction != network.objective and "biomass" not in reaction.lower()
    }
    return {reaction: difference for reaction, difference in found.items() if difference}
