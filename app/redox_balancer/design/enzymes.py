"""The enzyme library: what may be placed, where, and how much flux a share of the proteome buys.

How a library fits a model (what is new there, what exists already, what would be a loop) is in `fitting.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from redox_balancer.cell.embedded import CORE_ID
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.network import Network
from redox_balancer.cell.records import NonNegative, Positive, Record, packaged, read_records
from redox_balancer.errors import RedoxError

PROTEIN_G_PER_GDW = 0.506
"""Protein content of a cell, g/gDW: Bekiaris & Klamt 2020, BMC Bioinformatics 21:19 (sMOMENT)."""


class Role(StrEnum):
    """What an enzyme is for; a producer makes NADH, and foreign ones stand in the library as negative controls."""

    OXIDASE = "oxidase"
    PEROXIDASE = "peroxidase"
    QUINONE_REDUCTASE = "quinone reductase"
    QUINOL_OXIDASE = "quinol oxidase"
    TRANSHYDROGENASE = "transhydrogenase"
    SHUTTLE = "shuttle"
    REDUCTASE = "reductase"
    BYPASS = "bypass"
    UNCOUPLER = "uncoupler"
    POOL = "pool"
    PRODUCER = "producer"


class Confidence(StrEnum):
    """How sure a figure is."""

    MEASURED = "measured"
    """On this protein, as far as the source tells."""
    PROXY = "proxy"
    """On a relative, or with another substrate."""
    ASSUMED = "assumed"
    """No source gives it: a considered guess."""


class EnzymeParameter(BaseModel):
    """A positive value with its source and its confidence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Positive
    confidence: Confidence
    source: str


class Accession(BaseModel):
    """A UniProt accession, where it was seen and how sure it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accession: str
    confidence: Confidence
    source: str


class Site(BaseModel):
    """A compartment an enzyme can be placed in, with what it does there.

    Attributes
    ----------
    compartment
        BiGG compartment of the enzyme's NAD(P)H: c cytosol, m mitochondrial matrix, x peroxisome.
    reaction
        Its reaction, `nadh_c + h_c + 0.5 o2_c --> nad_c + h2o_c`, `<=>` where it runs both ways; BiGG metabolite ids
        or a model's own.
    native
        The native reaction that is the same one although models write it with other protons.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    compartment: str
    reaction: str
    native: str | None = None

    @model_validator(mode="after")
    def _parses(self) -> Self:
        try:
            parse_equation(self.reaction)
        except RedoxError as error:
            raise ValueError(error.message) from error
        return self

    @cached_property
    def stoichiometry(self) -> dict[str, float]:
        """Coefficients by metabolite, negative for what is consumed."""
        return parse_equation(self.reaction)

    @property
    def reversible(self) -> bool:
        """Whether it runs both ways."""
        return "<=>" in self.reaction


class Cofactor(Record):
    """Free concentration of a cofactor in a compartment; `id` is its BiGG id.

    Attributes
    ----------
    concentration_mm
        mM.
    """

    concentration_mm: Positive
    source: str
    assumed: bool = False


class Enzyme(Record):
    """One enzyme of the library.

    Attributes
    ----------
    name, ec, organism
        What it is; transporters have their number in the Transporter Classification instead of an EC number.
    uniprot
        UniProt accession, where known.
    role
        What it is for.
    membrane
        Whether it sits in a membrane and draws on the membrane budget.
    kcat_per_s
        Turnover number, 1/s.
    mass_kda
        Mass of one subunit with one active site, kDa.
    km_mm
        Michaelis constant of the NAD(P)H it consumes, mM, where known.
    sites
        Where it can be placed.
    """

    name: str
    ec: str
    organism: str
    uniprot: Accession | None = None
    role: Role
    membrane: bool = False
    kcat_per_s: EnzymeParameter
    mass_kda: EnzymeParameter
    km_mm: EnzymeParameter | None = None
    sites: tuple[Site, ...] = Field(min_length=1)

    def capacity(self, fraction: float, saturation: float) -> float:
        """Largest flux that a share of the proteome can carry, mmol/gDW/h.

        kcat [1/s] x 3600 x fraction x protein [g/gDW] / mass [g/mmol] x saturation; the mass in kDa is the mass
        in g/mmol. Saturation, not kcat, limits an oxidase: free cytosolic NADH is 1-5 uM against a KM of tens of uM.
        """
        per_hour = 3600.0 * self.kcat_per_s.value
        return per_hour * fraction * PROTEIN_G_PER_GDW / self.mass_kda.value * saturation

    def saturation(self, site: Site, otherwise: float) -> float:
        """Share of kcat at which the enzyme runs at a site: c / (c + KM), or `otherwise` where one is not known."""
        if self.km_mm is None:
            return otherwise
        consumed = [name for name, amount in site.stoichiometry.items() if amount < 0 and name in load_cofactors()]
        if not consumed:
            return otherwise
        concentration = load_cofactors()[consumed[0]].concentration_mm
        return concentration / (concentration + self.km_mm.value)

    def sourced_values(self) -> Iterator[tuple[str, str, Confidence, str]]:
        """Every value that has a source: its name, the value as text, its confidence and the source."""
        for name in ("kcat_per_s", "mass_kda", "km_mm"):
            parameter: EnzymeParameter | None = getattr(self, name)
            if parameter is not None:
                yield name, f"{parameter.value:g}", parameter.confidence, parameter.source
        if self.uniprot is not None:
            yield "uniprot", self.uniprot.accession, self.uniprot.confidence, self.uniprot.source


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


def load_library(path: Path | None = None) -> dict[str, Enzyme]:
    """Enzymes of a file, or those that come with the package, by id."""
    library = read_records(path or packaged("enzymes.toml"), "enzyme", Enzyme)
    for enzyme in library.values():
        compartments = [site.compartment for site in enzyme.sites]
        if len(set(compartments)) < len(compartments):
            raise RedoxError(
                f"enzyme {enzyme.id} has two sites in one compartment", hint="give each compartment once"
            )
    return library


@cache
def load_cofactors() -> Mapping[str, Cofactor]:
    """Free concentrations that come with the package, by BiGG id."""
    return read_records(packaged("cofactors.toml"), "cofactor", Cofactor)


def load_native_capacities(network: Network) -> dict[str, NativeCapacity]:
    """Limits of native reactions by reaction: figures are known for the embedded core, none for other models."""
    if network.id != CORE_ID:
        return {}
    return read_records(packaged("native_capacities.toml"), "capacity", NativeCapacity)
