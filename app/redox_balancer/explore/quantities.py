"""The bounds that can be moved: uptakes of exchanges, and what conditions limit or deficiencies lower."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from redox_balancer.cell.cell_lines import UNLIMITED
from redox_balancer.cell.conditions import Change, Condition, Side
from redox_balancer.cell.exchanges import extracellular_exchanges
from redox_balancer.cell.network import Network
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

CLOSED_UP_TO = 1.0
"""End of the slider of an uptake that the medium closes, mmol/gDW/h."""
NAMES = {
    "glc__D": "glucose", "o2": "oxygen", "lac__L": "lactate", "pyr": "pyruvate", "gln__L": "glutamine",
    "nh4": "ammonium",
    "etoh": "ethanol", "uri": "uridine", "asp__L": "aspartate", "NADH2_u10mi": "complex I", "FADH2ETC": "complex II",
    "CYOR_u10mi": "complex III", "CYOOm2i": "complex IV", "ATPS4mi": "complex V", "LDH_L": "lactate dehydrogenase",
    "PDHm": "pyruvate dehydrogenase", "MDH": "malate dehydrogenase, cytosol", "GAPD": "GAPDH",
    "MDHm": "malate dehydrogenase, matrix", "r0205": "GPD2", "GLUDxm": "glutamate dehydrogenase",
}  # fmt: skip
"""Names of what is moved most often, by metabolite or reaction."""


class Quantity(NamedTuple):
    """A bound that can be moved, mmol/gDW/h."""

    reaction: str
    side: Side
    most: float  # end of the slider
    name: str

    @property
    def key(self) -> str:
        """How a state names it."""
        return f"{self.reaction} {self.side}"

    @property
    def label(self) -> str:
        """How the page names it."""
        return self.name if self.name == self.reaction else f"{self.name} ({self.reaction})"

    def change(self, value: float, *, opens: bool = False) -> Change:
        """The bound at a value as a condition has it; `opens` replaces that of the medium, of exchanges."""
        opens = opens and self.side.of_exchange
        return Change(
            reaction=self.reaction,
            side=self.side,
            value=value,
            low=0.0,
            high=max(value, self.most if opens else 0.0),
            source="moved by hand",
            assumed=True,
            opens=opens,
        )


def quantities_of(space: DesignSpace, conditions: Iterable[Condition]) -> list[Quantity]:
    """The bounds of a cell that can be moved, `conditions` being those of its task in their own terms."""
    network, found = space.network, dict[tuple[str, Side], Quantity]()
    ranges = _ranges(network, [*conditions, *space.references])
    for exchange in extracellular_exchanges(network):
        try:
            reaction = exchange.bound(supply=True).reaction
        except RedoxError:
            continue  # several reactions supply it, and no single bound limits them
        if exchange.uptake < UNLIMITED:
            most = max(2.0 * exchange.uptake, ranges.get((reaction, Side.UPTAKE), 0.0)) or CLOSED_UP_TO
            species = min(network.species_of(exchange.metabolite), default=exchange.metabolite)
            found[reaction, Side.UPTAKE] = Quantity(reaction, Side.UPTAKE, most, NAMES.get(species, reaction))
    natural = {reaction: limit for reaction, limit in space.capacities.items() if reaction in network.reaction_index}
    for (reaction, side), most in ranges.items():
        if side in (Side.EXPORT, Side.FLUX) and reaction not in natural:
            found.setdefault((reaction, side), _quantity(network, reaction, side, most))
    for reaction, limit in natural.items():
        found[reaction, Side.FLUX] = _quantity(network, reaction, Side.FLUX, limit)
    return list(found.values())


def _quantity(network: Network, reaction: str, side: Side, most: float) -> Quantity:
    bigg = network.bigg_names.get(reaction, reaction)
    name = NAMES.get(bigg.removeprefix("EX_").removesuffix("_e"), reaction)
    return Quantity(reaction, side, most, name)


def _ranges(network: Network, conditions: Sequence[Condition]) -> Mapping[tuple[str, Side], float]:
    """Twice the largest value to which any condition sets a bound of this model."""
    found: dict[tuple[str, Side], float] = {}
    for change in (change for condition in conditions for change in condition.changes):
        own = None if change.leaves or change.missing_from(network) else network.find_reaction(change.reaction)
        if own and change.side in (Side.UPTAKE, Side.EXPORT, Side.FLUX):
            found[own, change.side] = max(2.0 * change.high, found.get((own, change.side), 0.0))
    return found
