"""How much a step of a free cycle is to be suspected: which reaction, in which direction, is wrong in a cell.

A rule of thumb, and no measurement: free cycles mostly run through a reversible reaction in the direction that its
enzyme does not take, or through a reaction that nobody has found an enzyme for. An enzyme that takes oxygen is often
the one step that all cycles share, and seldom the wrong one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import NamedTuple

from redox_balancer.cell.network import Network

_SMALL = {"o2", "h2o", "h", "co2", "hco3", "nh4", "h2o2", "o2s", "pi", "na1", "k", "cl", "no", "co"}
_ACTIVE_OXYGEN = {"h2o2", "o2s"}
_REDUCED = {"nadh", "nadph"}
_COFACTORS = {*_REDUCED, "nad", "nadp", "h", "h2o"}


class Step(NamedTuple):
    """A reaction in one direction.

    Attributes
    ----------
    reaction
        The model's own id.
    backwards
        Whether it runs against its equation.
    """

    reaction: str
    backwards: bool

    def __str__(self) -> str:
        return f"~{self.reaction}" if self.backwards else self.reaction


class Suspicion(NamedTuple):
    """The price of closing a step, lower for a more suspicious one; 0 where it cannot be the wrong one."""

    price: int
    why: str


def suspicion(network: Network, step: Step, with_gene: Container[str]) -> Suspicion:
    """Judge a step of a model; `with_gene` holds the reactions that have a gene."""
    sign = -1.0 if step.backwards else 1.0
    net: Counter[str] = Counter()
    sides: dict[str, set[float]] = {}
    for metabolite, value in network.stoichiometry_of(step.reaction).items():
        species = next(iter(sorted(network.species_of(metabolite) & _NAMED)), metabolite.rpartition("_")[0] or metabolite)
        net[species] += sign * value  # type: ignore[assignment] - coefficients may be fractions
        sides.setdefault(species, set()).add(1.0 if value > 0 else -1.0)
    changed = {species: value for species, value in net.items() if abs(value) > 1e-9}
    if all(len(side) > 1 for side in sides.values()) and not changed:
        if sides.keys() <= _SMALL:
            return Suspicion(0, "diffusion")
        return Suspicion(12, "transport")
    gene = step.reaction in with_gene
    forced = not step.backwards and gene  # a known enzyme in its published direction
    if changed.get("o2", 0.0) > 0 and not any(changed.get(species, 0.0) < 0 for species in _ACTIVE_OXYGEN):
        return Suspicion(1, "makes oxygen")
    if not forced and _deoxygenates(changed):
        return Suspicion(1, "takes oxygen from a metabolite with NAD(P)H alone")
    if changed.get("o2", 0.0) < 0 and gene:
        return Suspicion(10, "an enzyme that takes oxygen")
    if step.backwards:
        return Suspicion(3, "backwards") if gene else Suspicion(2, "backwards, without a gene")
    if not gene:
        return Suspicion(3, "without a gene")
    one_way = network.bounds_of(step.reaction)[0] >= 0
    return Suspicion(6, "an enzyme in its only direction") if one_way else Suspicion(5, "an enzyme, forwards")


_NAMED = _SMALL | _COFACTORS


def _deoxygenates(changed: dict[str, float]) -> bool:
    """Whether a metabolite loses an oxygen atom to water at the cost of NAD(P)H only: an acid becomes an aldehyde."""
    others = [value for species, value in changed.items() if species not in _COFACTORS]
    reducing = any(changed.get(species, 0.0) < 0 for species in _REDUCED)
    return reducing and changed.get("h2o", 0.0) > 0 and len(others) == 2 and min(others) < 0 < max(others)
