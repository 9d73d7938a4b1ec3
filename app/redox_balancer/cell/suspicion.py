"""How much a step of a free cycle is to be suspected: which reaction, in which direction, is wrong in a cell.

A rule of thumb, and no measurement: free cycles mostly run through a reversible reaction in the direction that its
enzyme does not take, or through a reaction that nobody has found an enzyme for. An enzyme that takes oxygen is often
the one step that all cycles share, and seldom the wrong one.
"""

from collections import defaultdict
from collections.abc import Container
from typing import NamedTuple

from redox_balancer.cell.network import Network
from redox_balancer.cell.probes import GRADIENTS

_SMALL = {"o2", "h2o", "h", "co2", "hco3", "nh4", "h2o2", "o2s", "pi", "na1", "k", "cl", "no", "co"}
_ACTIVE_OXYGEN = {"h2o2", "o2s"}
_REDUCED = {"nadh", "nadph"}
_COFACTORS = {*_REDUCED, "nad", "nadp", "h", "h2o"}


class DirectedStep(NamedTuple):
    """A reaction, by the model's own id, in one direction: backwards is against its equation."""

    reaction: str
    backwards: bool = False

    def __str__(self) -> str:
        return f"~{self.reaction}" if self.backwards else self.reaction


class Suspicion(NamedTuple):
    """The price of closing a step, lower for a more suspicious one; 0 where it cannot be the wrong one."""

    price: int
    why: str


def suspicion(network: Network, step: DirectedStep, with_gene: Container[str]) -> Suspicion:
    """Judge a step of a model; `with_gene` holds the reactions that have a gene."""
    sign = -1.0 if step.backwards else 1.0
    net: defaultdict[str, float] = defaultdict(float)
    for metabolite, value in network.stoichiometry_of(step.reaction).items():
        known = sorted(network.species_of(metabolite) & (_SMALL | _COFACTORS))
        net[known[0] if known else metabolite.rpartition("_")[0] or metabolite] += sign * value
    changed = {species: value for species, value in net.items() if abs(value) > 1e-9}
    gene, one_way = step.reaction in with_gene, network.bounds_of(step.reaction)[0] >= 0
    oxygen = changed.get("o2", 0.0)
    rules = (
        (_pumps(network, step), 1, "pumps protons for nothing"),
        (not changed and net.keys() <= _SMALL, 0, "diffusion"),
        (not changed, 12, "transport"),
        (oxygen > 0 and not any(changed.get(each, 0.0) < 0 for each in _ACTIVE_OXYGEN), 1, "makes oxygen"),
        ((step.backwards or not gene) and _deoxygenates(changed), 1, "takes oxygen from a metabolite with NAD(P)H"),
        (oxygen < 0 and gene, 10, "an enzyme that takes oxygen"),
        (step.backwards and gene, 3, "an enzyme backwards"),
        (step.backwards, 2, "backwards, without a gene"),
        (not gene, 3, "without a gene"),
        (one_way, 6, "an enzyme in its only direction"),
    )
    return next((Suspicion(price, why) for holds, price, why in rules if holds), Suspicion(5, "an enzyme forwards"))


def _deoxygenates(changed: dict[str, float]) -> bool:
    """Whether a metabolite loses an oxygen atom to water at the cost of NAD(P)H only: an acid becomes an aldehyde."""
    others = [value for species, value in changed.items() if species not in _COFACTORS]
    reducing = any(changed.get(species, 0.0) < 0 for species in _REDUCED)
    return reducing and changed.get("h2o", 0.0) > 0 and len(others) == 2 and min(others) < 0 < max(others)


def _pumps(network: Network, step: DirectedStep) -> bool:
    """Whether a step moves protons, and nothing else, across a membrane against its gradient."""
    moved = {m: -value if step.backwards else value for m, value in network.stoichiometry_of(step.reaction).items()}
    ends = {value > 0: network.compartment_of(metabolite) for metabolite, value in moved.items()}
    protons = len(moved) == 2 and all(network.is_species(metabolite, "h") for metabolite in moved)
    return protons and ends.get(True) in GRADIENTS and GRADIENTS[ends[True]] == ends.get(False)
