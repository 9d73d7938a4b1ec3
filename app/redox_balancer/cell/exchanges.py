"""Exchanges: how much of a metabolite enters and leaves a network, however a model writes it.

Most models have one reaction `x_e <=>`, whose negative flux is an uptake. Others write `<=> x_e`, split the exchange
into `x_e -->` and `--> x_e` (GECKO), or give the metabolite a coefficient other than 1. All of them are recognised by
stoichiometry: a flux v of a reaction with the single metabolite x and coefficient c supplies c v of x.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from redox_balancer.cell.names import EXTRACELLULAR
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.cell.network import Network


class BoundaryReaction(NamedTuple):
    """A reaction with a single metabolite: its coefficient, and its flux bounds in mmol/gDW/h."""

    id: str
    coefficient: float
    lower: float
    upper: float

    @property
    def supply(self) -> float:
        """Largest supply of the metabolite, mmol/gDW/h."""
        return max(0.0, self.coefficient * (self.upper if self.coefficient > 0 else self.lower))

    @property
    def removal(self) -> float:
        """Largest removal of the metabolite, mmol/gDW/h."""
        return max(0.0, -self.coefficient * (self.lower if self.coefficient > 0 else self.upper))

    @property
    def imports_only(self) -> bool:
        """Whether it is written to supply the metabolite and never to remove it."""
        return self.removal == 0.0 and (self.coefficient > 0 or self.supply > 0.0)

    def within(self, supply: float, removal: float | None) -> tuple[float, float]:
        """Bounds with the given largest supply and removal (None: as it is), mmol/gDW/h; nothing is forced."""
        into, out = supply / abs(self.coefficient), None if removal is None else removal / abs(self.coefficient)
        if self.coefficient > 0:
            return min(self.lower, 0.0) if out is None else -out, into
        return -into, max(self.upper, 0.0) if out is None else out


class FluxBound(NamedTuple):
    """The bound that limits a supply or a removal: `upper` at `scale` times the limit, or lower at minus that."""

    reaction: str
    upper: bool
    scale: float


@dataclass(frozen=True)
class Exchange:
    """All boundary reactions of one metabolite (the model's own id), in the network's order."""

    metabolite: str
    reactions: tuple[BoundaryReaction, ...]

    @property
    def uptake(self) -> float:
        """Largest supply by all reactions together, mmol/gDW/h."""
        return sum(reaction.supply for reaction in self.reactions)

    @property
    def export(self) -> float:
        """Largest removal by all reactions together, mmol/gDW/h."""
        return sum(reaction.removal for reaction in self.reactions)

    def within(self, uptake: float, secretion: float | None = None) -> dict[str, tuple[float, float]]:
        """Bounds of the reactions with a total supply and a total removal of at most this, mmol/gDW/h.

        The supply goes to the importer and the removal to the exporter; with None the removal stays as it is.
        """
        importer, exporter = self.importer, self.exporter
        return {
            reaction.id: reaction.within(
                uptake if reaction is importer else 0.0,
                secretion if secretion is None or reaction is exporter else 0.0,
            )
            for reaction in self.reactions
        }

    @property
    def importer(self) -> BoundaryReaction:
        """The reaction that is written as an import, if there is one, or else that of the largest supply."""
        return max(self.reactions, key=lambda reaction: (reaction.imports_only, reaction.supply))

    @property
    def exporter(self) -> BoundaryReaction:
        """The reaction of the largest removal, or else one that is not written as an import."""
        return max(self.reactions, key=lambda reaction: (not reaction.imports_only, reaction.removal))

    def bound(self, *, supply: bool) -> FluxBound:
        """Find the bound that limits the supply, or else the removal, of the metabolite.

        A RedoxError if several reactions supply, or remove, it, so that no single bound limits their sum.
        """

        def flow(reaction: BoundaryReaction) -> float:
            return reaction.supply if supply else reaction.removal

        running = [reaction.id for reaction in self.reactions if flow(reaction) > 0.0]
        if len(running) > 1:
            raise RedoxError(
                f"{self.metabolite} is {'supplied' if supply else 'removed'} by {', '.join(running)}, "
                "and a condition can limit one reaction only",
                hint="close all of these reactions but one in the model",
                settings=("model", "conditions"),
            )
        least = 1 if supply else -1
        chosen = max(self.reactions, key=lambda reaction: (flow(reaction), least * reaction.imports_only))
        return FluxBound(chosen.id, (chosen.coefficient > 0) is supply, 1.0 / abs(chosen.coefficient))


def exchange_of(network: "Network", metabolite: str) -> Exchange:
    """Return the exchange of a metabolite, given by the model's own id."""
    coefficients = network.boundary_coefficients[metabolite]
    reactions = (BoundaryReaction(name, value, *network.bounds_of(name)) for name, value in coefficients.items())
    return Exchange(metabolite, tuple(reactions))


def find_exchange(network: "Network", name: str) -> Exchange | None:
    """Find an exchange by its id or BiGG name; None if the network has none of that name.

    `EX_o2_e` is a boundary reaction of that id or BiGG name with all others of its metabolite, or else all boundary
    reactions of the metabolite `o2_e`; so are `o2_e`, `o2` and `EX_o2_b`, COBRApy's name for the source of a boundary
    species.
    """
    own = network.find_reaction(name)
    if own is not None:
        metabolite = next(iter(network.stoichiometry_of(own)), None)
    else:
        plain = re.sub("_b$", "_e", name.removeprefix("EX_"))
        metabolite = network.find_metabolite(plain) or network.find_metabolite(f"{plain}_e")
    coefficients = network.boundary_coefficients.get(metabolite or "", {})
    if metabolite is None or not coefficients or own not in (None, *coefficients):
        return None
    return exchange_of(network, metabolite)


def extracellular_exchanges(network: "Network") -> list[Exchange]:
    """Return the exchange of each extracellular metabolite that has one."""
    found = network.boundary_coefficients
    return [exchange_of(network, each) for each in found if network.compartment_of(each) == EXTRACELLULAR]


def growth_products(network: "Network") -> set[str]:
    """Return what stands for the biomass: growth makes it, and all else drains it or makes one thing of it alone."""
    touching: dict[str, list[str]] = {}
    for reaction, low, high in zip(network.reactions, network.lower, network.upper, strict=True):
        if (low or high) and reaction != network.objective:
            for metabolite in network.stoichiometry_of(reaction):
                touching.setdefault(metabolite, []).append(reaction)
    found: set[str] = set()
    waiting = [metabolite for metabolite, value in network.stoichiometry_of(network.objective).items() if value > 0]
    while waiting:
        metabolite = waiting.pop()
        reached = [network.stoichiometry_of(reaction) for reaction in touching.get(metabolite, ())]
        if metabolite not in found and all(len(stoichiometry) <= 2 for stoichiometry in reached):
            found.add(metabolite)
            waiting += [other for stoichiometry in reached for other in stoichiometry]
    return found


def supplying_reactions(network: "Network") -> tuple[str, ...]:
    """Return the exchange reactions through which a metabolite can be taken up, in the network's order."""
    found = {r.id for exchange in extracellular_exchanges(network) for r in exchange.reactions if r.supply > 0.0}
    return tuple(reaction for reaction in network.exchanges if reaction in found)
