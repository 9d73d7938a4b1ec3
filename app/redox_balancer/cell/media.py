"""Growth media, read from data files.

Uptakes are positive numbers, as in COBRApy's media: 0.64 for `EX_glc__D_e` is an uptake of 0.64 mmol/gDW/h of
glucose, whether a model writes the exchange as `glc__D_e <=>`, as `--> glc__D_e` or as both. An exchange that a
medium does not list has no uptake, and its secretion stays.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from redox_balancer.cell.exchanges import exchange_of, extracellular_exchanges, find_exchange
from redox_balancer.cell.medium_file import is_medium_file, own_exchanges, read_medium_file
from redox_balancer.cell.records import NonNegative, Record, packaged, pick, read_records, refusal
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.cell.network import Network  # loads NumPy, and the command line reads settings

MODEL_MEDIUM = "model"
ENZYME = "prot_"
"""Prefix of the enzymes among the metabolites of models made with GECKO."""
OPEN = 1000.0
"""Bound of an unlimited reaction, mmol/gDW/h, by the convention of the BiGG models."""


class Medium(Record):
    """A growth medium: uptake limits and the bounds that belong to them.

    Attributes
    ----------
    description, source, assumed
        Description, origin of the values, and whether they are assumptions.
    uptakes
        Largest uptake of each exchange reaction, mmol/gDW/h, positive.
    close_sinks
        Whether sinks and demands (single-metabolite reactions inside the cell) are closed; the objective, and the
        supply of enzymes in a model of GECKO's (`--> prot_pool`), stay open.
    maintenance
        Minimum flux of each maintenance reaction, mmol/gDW/h.
    """

    description: str
    source: str
    assumed: bool = False
    close_sinks: bool = True
    uptakes: dict[str, NonNegative]
    maintenance: dict[str, NonNegative] = Field(default_factory=dict)

    def apply(self, network: Network) -> Network:
        """Return a network with the bounds of this medium.

        Exchanges that the model lacks are skipped, because a core has fewer than the full model.

        Raises
        ------
        RedoxError
            The model has none of the medium's exchanges.
        """
        exchanges = {exchange.metabolite: exchange for exchange in extracellular_exchanges(network)}
        uptakes: dict[str, float] = {}
        for name, uptake in self.uptakes.items():
            if (exchange := find_exchange(network, name)) is not None:
                uptakes[exchange.metabolite] = uptakes.get(exchange.metabolite, 0.0) + uptake
        if not exchanges.keys() & uptakes.keys():
            raise self._unknown(network)
        bounds: dict[str, tuple[float, float]] = {}
        for metabolite in network.boundary_coefficients:
            exchange = exchange_of(network, metabolite)
            if metabolite in exchanges or metabolite in uptakes:
                bounds |= exchange.with_uptake(uptakes.get(metabolite, 0.0))
            elif self.close_sinks and not metabolite.startswith(ENZYME):
                bounds |= dict.fromkeys((reaction.id for reaction in exchange.reactions), (0.0, 0.0))
        # A drain of biomass is growth, and not a sink or an exchange of the medium.
        bounds.pop(network.objective, None)
        for reaction, least in self.maintenance.items():
            own = network.find_reaction(reaction)
            if own is not None:
                bounds[own] = (least, OPEN)
        return network.with_bounds(bounds)

    def _unknown(self, network: Network) -> RedoxError:
        found = ", ".join(sorted({network.compartment_of(m) for m in network.boundary_coefficients}))
        reason = "" if network.exchanges else f": no compartment with exchanges is known as extracellular ({found})"
        return RedoxError(
            f"model {network.id} has none of the exchanges of medium {self.id!r}{reason}",
            hint="choose the medium 'model' to keep the model's own bounds; a model with other identifiers than "
            "BiGG's needs BiGG names among its annotations",
            settings=("medium",),
        )


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


def apply_medium(network: Network, name: str) -> Network:
    """Return a network with the bounds of a medium, see `get_medium`.

    Raises
    ------
    RedoxError
        There is no such medium, or it does not fit the model: a packaged one may list reactions that the model lacks,
        as a core has fewer than the full model, but a file may not.
    """
    medium = get_medium(name)
    if medium is not None and is_medium_file(name):
        if lacking := [reaction for reaction in medium.maintenance if network.find_reaction(reaction) is None]:
            raise RedoxError(
                f"model {network.id} has no reaction {lacking[0]}, the maintenance of medium {name}",
                hint="remove it from the medium, or name it as the model or BiGG does",
                settings=("medium",),
            )
        medium = medium.model_copy(update={"uptakes": own_exchanges(network, medium.uptakes, name)})
    return network if medium is None else medium.apply(network)
