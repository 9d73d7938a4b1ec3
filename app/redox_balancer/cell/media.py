"""Growth media, read from data files.

Uptakes are positive numbers, as in COBRApy's media: 0.64 for `EX_glc__D_e` is an uptake of 0.64 mmol/gDW/h of
glucose, whether a model writes the exchange as `glc__D_e <=>`, as `--> glc__D_e` or as both. So are secretions. An
exchange that a medium does not list has no uptake, and no secretion if the medium lists secretions.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from redox_balancer.cell.exchanges import exchange_of, extracellular_exchanges, find_exchange, growth_products
from redox_balancer.cell.medium_file import is_medium_file, read_medium_file, repeated_exchanges
from redox_balancer.cell.records import NonNegative, Positive, Record, packaged, pick, read_records, refusal
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.cell.network import Network  # loads NumPy, and the command line reads settings

MODEL_MEDIUM = "model"
SINGLE = "growth_energy", "oxygen_budget"  # caps of a medium that are fields of their own
UPTAKE = " uptake"
ENZYME = "prot_"  # prefix of the enzymes among the metabolites of models made with GECKO
OPEN = 1000.0  # bound of an unlimited reaction, mmol/gDW/h, by the convention of the BiGG models


class Cap(BaseModel, extra="forbid", frozen=True):
    """A bound, mmol/gDW/h, with its origin, that of the medium if empty, and whether it is an assumption."""

    value: NonNegative
    source: str = ""
    assumed: bool = False


def _written_as(*fields: str) -> BeforeValidator:
    """Let a number stand for a table in which these fields have its value."""
    return BeforeValidator(lambda value: dict.fromkeys(fields, value) if isinstance(value, int | float) else value)


AnyCap = Annotated[Cap, _written_as("value")]  # a cap, written as a number or as a table


class Concentration(BaseModel, extra="forbid", frozen=True):
    """Range of a concentration, M, with its origin, that of the entry if empty, and whether it is an assumption."""

    low: Positive
    high: Positive
    source: str = ""
    assumed: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("needs low <= high")
        return self


Concentrations = dict[str, Annotated[Concentration, _written_as("low", "high")]]
"""Concentrations by metabolite (BiGG name with compartment); one figure stands for both ends."""


class Medium(Record):
    """A growth medium: uptake limits and the bounds that belong to them.

    Nothing leaves the cell but `secretions`. Sinks and demands are single-metabolite reactions inside the cell; the
    objective, and the supply of enzymes in a model of GECKO's (`--> prot_pool`), stay open. `maintenance` and
    `growth_energy` belong together: the intercept and the slope of ATP against growth.
    """

    description: str
    source: str  # of the values that have none of their own
    assumed: bool = False  # they are assumptions
    close_sinks: bool = True  # whether sinks and demands are closed
    uptakes: dict[str, AnyCap]  # largest of each exchange, mmol/gDW/h, positive
    secretions: dict[str, AnyCap] | None = None  # likewise; None leaves them as the model has them
    maintenance: dict[str, AnyCap] = Field(default_factory=dict)  # least flux of each reaction, mmol/gDW/h
    growth_energy: AnyCap | None = None  # ATP that growth costs at least, mmol/gDW; None leaves it
    oxygen_budget: AnyCap | None = None  # O2 for all but cytochrome c oxidase, mmol/gDW/h, see `ledgers`
    concentrations: Concentrations = Field(default_factory=dict)  # ranges, M, by metabolite; for ratios alone

    def apply(self, network: "Network") -> "Network":
        """Return a network with the bounds of this medium; a RedoxError if it has none of the medium's exchanges.

        Exchanges that the model lacks are skipped, because a core has fewer than the full model.
        """
        from redox_balancer.cell.ledgers import (  # noqa: PLC0415 - loads NumPy
            GROWTH_ATP,
            OXYGEN_BUDGET,
            with_growth_energy,
            with_oxygen_budget,
        )

        exchanges = {exchange.metabolite: exchange for exchange in extracellular_exchanges(network)}
        uptakes, secretions = (_by_metabolite(network, caps or {}) for caps in (self.uptakes, self.secretions))
        if not exchanges.keys() & uptakes.keys():
            raise self._unknown(network)
        biomass = growth_products(network)
        bounds: dict[str, tuple[float, float]] = {}
        for metabolite in network.boundary_coefficients:
            exchange = exchange_of(network, metabolite)
            if metabolite in exchanges or metabolite in uptakes or metabolite in secretions:
                limited = self.secretions is not None and metabolite not in biomass
                leaves = secretions.get(metabolite, 0.0) if limited else None
                bounds |= exchange.within(uptakes.get(metabolite, 0.0), leaves)
            elif self.close_sinks and not metabolite.startswith(ENZYME) and metabolite not in biomass:
                bounds |= dict.fromkeys((reaction.id for reaction in exchange.reactions), (0.0, 0.0))
        # A drain of biomass is growth, and not a sink or an exchange of the medium.
        bounds.pop(network.objective, None)
        for reaction, least in self.maintenance.items():
            if own := network.find_reaction(reaction):
                bounds[own] = (least.value, OPEN)
        network = network.with_bounds(bounds)
        if self.growth_energy is not None or GROWTH_ATP in network.reaction_index:
            network = with_growth_energy(network, self.growth_energy.value if self.growth_energy else 0.0, OPEN)
        if self.oxygen_budget is not None or OXYGEN_BUDGET in network.reaction_index:
            network = with_oxygen_budget(network, self.oxygen_budget.value if self.oxygen_budget else OPEN)
        return network

    @property
    def caps(self) -> dict[str, Cap]:
        """Limits whose size is a matter of measurement, each with its source.

        They are maintenance, `growth_energy`, uptakes with a source of their own (`EX_o2_e uptake`), secretions less
        those without a limit, and the `oxygen_budget`.
        """
        found = self.maintenance | {name + UPTAKE: cap for name, cap in self.uptakes.items() if cap.source}
        found |= {name: cap for name, cap in (self.secretions or {}).items() if cap.value < OPEN}
        found |= {name: cap for name in SINGLE if (cap := getattr(self, name)) is not None}
        own = {"source": self.source, "assumed": self.assumed}
        return {name: cap if cap.source else cap.model_copy(update=own) for name, cap in found.items()}

    def varied(self, cap: str, factor: float) -> "Medium":
        """Return the medium with one of its `caps` multiplied by a factor."""
        if cap not in self.caps:
            raise RedoxError(f"medium {self.id!r} has no cap {cap!r}", hint=f"known: {', '.join(self.caps)}")
        known = self.caps[cap]
        scaled = known.model_copy(update={"value": factor * known.value, "assumed": True})
        if cap in SINGLE:
            return self.model_copy(update={cap: scaled})
        group = "uptakes" if cap.endswith(UPTAKE) else "maintenance" if cap in self.maintenance else "secretions"
        return self.model_copy(update={group: getattr(self, group) | {cap.removesuffix(UPTAKE): scaled}})

    def _unknown(self, network: "Network") -> RedoxError:
        found = ", ".join(sorted(set(map(network.compartment_of, network.boundary_coefficients))))
        reason = "" if network.exchanges else f": no compartment with exchanges is known as extracellular ({found})"
        return RedoxError(
            f"model {network.id} has none of the exchanges of medium {self.id!r}{reason}",
            hint="choose the medium 'model' to keep the model's own bounds; a model with other identifiers than "
            "BiGG's needs BiGG names among its annotations",
            settings=("medium",),
        )


def _by_metabolite(network: "Network", caps: Mapping[str, Cap]) -> dict[str, float]:
    """Sum of the caps of each metabolite of those exchanges that the model has."""
    found: dict[str, float] = {}
    for name, cap in caps.items():
        if (exchange := find_exchange(network, name)) is not None:
            found[exchange.metabolite] = found.get(exchange.metabolite, 0.0) + cap.value
    return found


def get_medium(name: str) -> Medium | None:
    """Return the medium of a name or of a file; None for `model`, which stands for the model's own bounds."""
    if is_medium_file(name):
        try:
            return Medium.model_validate(read_medium_file(Path(name)))
        except ValidationError as error:
            raise refusal(Path(name), "medium", error) from error
    return None if name == MODEL_MEDIUM else pick(load_media(), name, "medium", ", or a file")


@cache
def load_media() -> dict[str, Medium]:
    """Return the packaged media by name."""
    return read_records(packaged("media.toml"), "medium", Medium)


def apply_medium(network: "Network", name: str) -> "Network":
    """Return a network with the bounds of a medium, see `get_medium`.

    A RedoxError if there is no such medium, or it does not fit the model: a packaged one may list reactions that the
    model lacks, as a core has fewer than the full model, but a file may not.
    """
    medium = get_medium(name)
    if medium is None:
        return network
    lacking = [reaction for reaction in medium.maintenance if network.find_reaction(reaction) is None]
    if is_medium_file(name):
        if lacking:
            raise RedoxError(
                f"model {network.id} has no reaction {lacking[0]}, the maintenance of medium {name}",
                hint="remove it from the medium, or name it as the model or BiGG does",
                settings=("medium",),
            )
        groups = medium.uptakes, medium.secretions or {}
        uptakes, secretions = ({exchange: cap.value for exchange, cap in caps.items()} for caps in groups)
        repeated = repeated_exchanges(network, uptakes, secretions, name)
        for field in ("uptakes", "secretions"):
            if caps := getattr(medium, field):
                left = {exchange: cap for exchange, cap in caps.items() if exchange not in repeated}
                medium = medium.model_copy(update={field: left})
    said = (f"medium {medium.id}: the model lacks {', '.join(lacking)}, its maintenance",) if lacking else ()
    return replace(medium.apply(network), repairs=network.repairs + said)
