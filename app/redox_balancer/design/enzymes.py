"""The enzyme library: what may be placed, where, and how much flux a share of the proteome buys.

An enzyme is foreign or native. Foreign chemistry becomes a reaction of its own, `SINK_<enzyme>_<compartment>`.
A native enzyme raises the limit of the reaction it already catalyses: a second copy of a reversible reaction
would form a loop with the first and carry any flux at no cost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from redox_balancer.cell.balance import imbalance
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.records import NonNegative, Positive, Record, packaged, read_records
from redox_balancer.errors import RedoxError

PROTEIN_G_PER_GDW = 0.506
"""Protein content of a cell, g/gDW: Bekiaris & Klamt 2020, BMC Bioinformatics 21:19 (sMOMENT)."""

EMBEDDED_CORE = "human_redox_core"
"""Id of the model whose native capacities come with the package."""

LOOP_TOLERANCE = 1e-9
"""Largest flux, mmol/gDW/h, that a reaction may show with every exchange closed."""


_ACCESSION = re.compile(r"\b(?:[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})\b")
"""As UniProt defines it."""


class Role(StrEnum):
    """What an enzyme is for; a producer makes NADH and stands in a library as a negative control."""

    OXIDASE = "oxidase"
    PEROXIDASE = "peroxidase"
    QUINONE_REDUCTASE = "quinone reductase"
    QUINOL_OXIDASE = "quinol oxidase"
    TRANSHYDROGENASE = "transhydrogenase"
    SHUTTLE = "shuttle"
    PRODUCER = "producer"


class Figure(BaseModel):
    """A positive number, the place it comes from, and whether it is a considered guess."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Positive
    source: str
    assumed: bool = False


class Site(BaseModel):
    """A compartment an enzyme can be placed in, with what it does there.

    Attributes
    ----------
    compartment
        BiGG compartment of the enzyme's NAD(P)H: c cytosol, m mitochondrial matrix.
    stoichiometry
        Coefficients of foreign chemistry by metabolite, negative for what is consumed.
    reversible
        Whether foreign chemistry runs both ways.
    native
        The native reaction whose limit is raised; either this or a stoichiometry.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    compartment: str
    stoichiometry: dict[str, float] = Field(default_factory=dict)
    reversible: bool = False
    native: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.stoichiometry) == bool(self.native):
            raise ValueError("needs either a stoichiometry or the native reaction it amplifies")
        return self


class Enzyme(Record):
    """One enzyme of the library.

    Attributes
    ----------
    name, ec, organism
        What it is.
    uniprot
        UniProt accession, where known.
    role
        What it is for.
    kcat_per_s
        Turnover number, 1/s.
    mass_kda
        Mass of one subunit with one active site, kDa.
    km_mm
        Michaelis constant of NAD(P)H, mM, where known.
    sites
        Where it can be placed.
    """

    name: str
    ec: str
    organism: str
    uniprot: str | None = None
    role: Role
    kcat_per_s: Figure
    mass_kda: Figure
    km_mm: Figure | None = None
    sites: tuple[Site, ...] = Field(min_length=1)

    def capacity(self, fraction: float, saturation: float) -> float:
        """Largest flux that a share of the proteome can carry, mmol/gDW/h.

        kcat [1/s] x 3600 x fraction x protein [g/gDW] / mass [g/mmol] x saturation; the mass in kDa is the mass
        in g/mmol. Saturation, not kcat, limits an oxidase: free cytosolic NADH is 1-5 uM against a KM of tens of uM.
        """
        per_hour = 3600.0 * self.kcat_per_s.value
        return per_hour * fraction * PROTEIN_G_PER_GDW / self.mass_kda.value * saturation

    @property
    def accessions(self) -> list[str]:
        """UniProt accessions in `uniprot`, which may say more, such as `Q8KRG4 (mutant)`."""
        return _ACCESSION.findall(self.uniprot or "")


class NativeCapacity(Record):
    """Largest flux that a native enzyme carries at its natural abundance; `id` is the reaction.

    Attributes
    ----------
    limit
        mmol/gDW/h, either way.
    """

    limit: NonNegative
    source: str
    assumed: bool = False


@dataclass(frozen=True)
class Placement:
    """One enzyme in one compartment: a column of the network and the flux each level buys.

    Attributes
    ----------
    id
        `<enzyme>_<compartment>`.
    enzyme, site
        The library's entries.
    reaction
        `SINK_<id>` for foreign chemistry, else the native reaction.
    caps
        Flux bought by each level, mmol/gDW/h.
    """

    id: str
    enzyme: Enzyme
    site: Site
    reaction: str
    caps: tuple[float, ...]

    @property
    def foreign(self) -> bool:
        """Whether the reaction is new to the cell."""
        return self.site.native is None

    @property
    def column(self) -> Column:
        """The closed reaction that foreign chemistry adds to a network."""
        return Column(self.reaction, self.site.stoichiometry)

    def bounds(self, flux: float) -> tuple[float, float]:
        """Bounds of foreign chemistry that may carry `flux`, mmol/gDW/h."""
        return (-flux if self.site.reversible else 0.0), flux


def load_library(path: Path | None = None) -> dict[str, Enzyme]:
    """Enzymes of a file, or those that come with the package, by id."""
    return read_records(path or packaged("enzymes.toml"), "enzyme", Enzyme)


def load_native_capacities(network: Network) -> dict[str, NativeCapacity]:
    """Limits of native reactions by reaction: figures are known for the embedded core, none for other models."""
    if network.id != EMBEDDED_CORE:
        return {}
    return read_records(packaged("native_capacities.toml"), "capacity", NativeCapacity)


def placements(
    library: Mapping[str, Enzyme], network: Network, levels: Sequence[float], saturation: float
) -> tuple[Placement, ...]:
    """Every placement the library offers, checked against the model.

    Raises
    ------
    RedoxError
        A metabolite or native reaction is not in the model, or foreign chemistry does not balance there.
    """
    found: list[Placement] = []
    for enzyme in library.values():
        for site in enzyme.sites:
            name = f"{enzyme.id}_{site.compartment}"
            _check_site(name, site, network)
            caps = tuple(enzyme.capacity(level, saturation) for level in levels)
            found.append(Placement(name, enzyme, site, site.native or f"SINK_{name}", caps))
    twice = [name for name, count in Counter(placement.id for placement in found).items() if count > 1]
    if twice:
        raise RedoxError(f"placement {twice[0]} stands twice in the library", hint="give each compartment once")
    return tuple(found)


def _check_site(name: str, site: Site, network: Network) -> None:
    if site.native is not None:
        if site.native not in network.reaction_index:
            raise RedoxError(
                f"enzyme placement {name}: model {network.id} has no reaction {site.native!r}",
                hint="remove that site from the enzyme library or choose a model that has it",
            )
        return
    for metabolite in site.stoichiometry:
        if metabolite not in network.metabolite_index:
            raise RedoxError(
                f"enzyme placement {name}: model {network.id} has no metabolite {metabolite!r}",
                hint="use the model's own identifiers, or remove that site from the enzyme library",
            )
    surplus = imbalance(site.stoichiometry, network.formulas, network.charges)
    if surplus:
        listed = ", ".join(f"{element} {amount:+g}" for element, amount in surplus.items())
        raise RedoxError(
            f"enzyme placement {name} is not balanced: {listed}",
            hint="mend its stoichiometry in the enzyme library (what is consumed is negative)",
        )


def looping(network: Network, inserted: Sequence[Placement]) -> dict[str, float]:
    """Foreign placements that carry flux with nothing entering or leaving the cell, and how much.

    `network` holds the placements' columns. Every exchange, sink and demand is closed and every forced flux
    (maintenance) released, then each inserted reaction is maximised, and minimised where it is reversible, with
    all others open: a loop through several insertions is found as well.

    Returns
    -------
    dict
        Largest flux, mmol/gDW/h, of each placement above `LOOP_TOLERANCE`.
    """
    sealed = seal(network, inserted)
    found: dict[str, float] = {}
    with FluxLP(sealed, {}) as lp:
        for placement in inserted:
            if not placement.foreign:
                continue
            column = sealed.column(placement.reaction)
            for sign in (1.0, -1.0) if placement.site.reversible else (1.0,):
                lp.set_objective_columns({column: sign})
                solution = lp.maximise()
                if not solution.optimal:
                    raise RedoxError(
                        f"the loop check of {placement.id} ended {solution.status.value}",
                        hint="a reaction of the model is forced to carry flux: check its lower bounds",
                    )
                if solution.objective > LOOP_TOLERANCE:
                    found[placement.id] = max(found.get(placement.id, 0.0), solution.objective)
    return found


def seal(network: Network, inserted: Sequence[Placement]) -> Network:
    """Network with every exchange, sink and demand closed, no forced flux, and all insertions open."""
    bounds: dict[str, tuple[float, float]] = dict.fromkeys(network.boundary, (0.0, 0.0))
    for column, reaction in enumerate(network.reactions):
        lower, upper = float(network.lower[column]), float(network.upper[column])
        if reaction not in bounds and (lower > 0 or upper < 0):
            # A forced flux, such as maintenance, is a drain of energy: closed altogether.
            bounds[reaction] = (0.0, 0.0)
    for placement in inserted:
        if placement.foreign:
            bounds[placement.reaction] = placement.bounds(OPEN)
    return network.with_bounds(bounds)
