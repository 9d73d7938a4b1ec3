"""The enzyme library: enzymes, the sites where they can be placed, and their capacity by proteome fraction.

How a library fits a model is determined in `fitting.py`.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, model_validator

from redox_balancer.cell.embedded import CORE_ID
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.network import Network
from redox_balancer.cell.records import NonNegative, Positive, Record, packaged, read_records
from redox_balancer.errors import RedoxError

PROTEIN_G_PER_GDW = 0.506
"""Protein content of a cell, g/gDW: Bekiaris & Klamt 2020, BMC Bioinformatics 21:19 (sMOMENT)."""

HUMAN = 0.8
"""Share of the natively limited reactions that a model of a human cell has at least, by BiGG names: Recon3D has all,
Human-GEM 83 %, models of yeast 43 % and of E. coli 27 %."""

NADPH = ("nadh", "nadph")  # BiGG names of the electron donors


class Role(StrEnum):
    """Function of an enzyme; a producer forms NADH, and foreign producers serve as negative controls."""

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
    """Confidence in a value."""

    MEASURED = "measured"  # measured on this protein, as far as the source shows
    PROXY = "proxy"  # measured on a related protein, or with another substrate
    ASSUMED = "assumed"  # an educated guess without a source


class EnzymeParameter(BaseModel, extra="forbid", frozen=True):
    """A positive value with its source and its confidence."""

    value: Positive
    confidence: Confidence
    source: str


class Accession(BaseModel, extra="forbid", frozen=True):
    """A UniProt accession with its source and its confidence."""

    accession: str
    confidence: Confidence
    source: str


class Site(BaseModel, extra="forbid", frozen=True):
    """A compartment that an enzyme can be placed in (that of its NAD(P)H), and its reaction there.

    The reaction is in BiGG metabolite ids or in those of the model, with `<=>` if it is reversible; `native` is the
    equivalent native reaction, where models write it with other protons.
    """

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
        """Coefficients by metabolite, negative for those consumed."""
        return parse_equation(self.reaction)

    @property
    def reversible(self) -> bool:
        """Whether the reaction is reversible."""
        return "<=>" in self.reaction


class Cofactor(Record):
    """Free concentration of a cofactor in a compartment, mM; `id` is its BiGG id."""

    concentration_mm: Positive
    source: str
    assumed: bool = False


class Enzyme(Record):
    """One enzyme of the library."""

    name: str
    ec: str  # of a transporter, its number in the Transporter Classification
    organism: str
    uniprot: Accession | None = None
    role: Role
    membrane: bool = False  # a membrane protein draws on the membrane budget
    kcat_per_s: EnzymeParameter
    mass_kda: EnzymeParameter  # of one subunit with one active site
    km_mm: EnzymeParameter | None = None  # Michaelis constant of the NAD(P)H it consumes, where known
    sites: tuple[Site, ...] = Field(min_length=1)

    def capacity(self, fraction: float, saturation: float) -> float:
        """Enzyme capacity: the largest flux of a proteome fraction, mmol/gDW/h.

        kcat [1/s] x 3600 x fraction x protein [g/gDW] / mass [g/mmol] x saturation; a mass in kDa is numerically the
        mass in g/mmol. An oxidase is limited by saturation rather than kcat: free cytosolic NADH is 1-5 uM, and its
        KM is tens of uM.
        """
        return 3600.0 * self.kcat_per_s.value * fraction * PROTEIN_G_PER_GDW / self.mass_kda.value * saturation

    def saturation(self, concentration_mm: float | None, default: float) -> float:
        """Share of kcat at which the enzyme operates: c / (c + KM), or `default` if c or KM is unknown.

        c is the free concentration of the NAD(P)H it consumes, mM.
        """
        if self.km_mm is None or concentration_mm is None:
            return default
        return concentration_mm / (concentration_mm + self.km_mm.value)

    def sourced_values(self) -> Iterator[tuple[str, str, Confidence, str]]:
        """Every value that has a source: its name, the value as text, its confidence and the source."""
        for name in ("kcat_per_s", "mass_kda", "km_mm"):
            parameter: EnzymeParameter | None = getattr(self, name)
            if parameter is not None:
                yield name, f"{parameter.value:g}", parameter.confidence, parameter.source
        if self.uniprot is not None:
            yield "uniprot", self.uniprot.accession, self.uniprot.confidence, self.uniprot.source


class NativeCapacity(Record):
    """The largest flux of a native enzyme at natural abundance, mmol/gDW/h in either direction; `id` is the reaction.

    `limit` holds in the embedded core, `genome_scale` in other models of human cells if it is not the same.
    """

    limit: NonNegative
    genome_scale: NonNegative | None = None
    source: str
    assumed: bool = False


class Undetected(Record):
    """Enzymes that a proteome lacks, by their reactions; `limit` is what a cell without them can have of each."""

    limit: NonNegative
    source: str
    assumed: bool = False
    reactions: tuple[str, ...]


def load_library(path: Path | None = None) -> dict[str, Enzyme]:
    """Enzymes of a file by id, by default the library of the package; a RedoxError if an entry does not fit."""
    library = read_records(path or packaged("enzymes.toml"), "enzyme", Enzyme)
    for enzyme in library.values():
        compartments = [site.compartment for site in enzyme.sites]
        if len(set(compartments)) < len(compartments):
            raise RedoxError(
                f"enzyme {enzyme.id} has two sites in one compartment", hint="list each compartment once"
            )
    return library


@cache
def load_cofactors() -> Mapping[str, Cofactor]:
    """Free concentrations of cofactors by BiGG id, as supplied with the package."""
    return read_records(packaged("cofactors.toml"), "cofactor", Cofactor)


def free_concentration(network: Network, stoichiometry: Mapping[str, float]) -> float | None:
    """Free concentration of the NAD(P)H that a reaction consumes, mM; None where unknown.

    `stoichiometry` is in the model's own ids where it has the metabolite; cofactors are recognised by BiGG names.
    """
    known = {network.find_metabolite(name) or name: each.concentration_mm for name, each in load_cofactors().items()}
    return next((known[name] for name, amount in stoichiometry.items() if amount < 0 and name in known), None)


def load_native_capacities(network: Network, *, as_published: bool = False) -> dict[str, float]:
    """Native limits of a human cell, mmol/gDW/h, by the model's own reactions; none where it lacks many of these.

    A human genome-scale model and a core of it have nearly all; microbes and red blood cells have not. A model
    left as published has none, unless it is the embedded core.
    """
    core = network.id == CORE_ID
    if as_published and not core:
        return {}
    file = packaged("native_capacities.toml")
    known = read_records(file, "capacity", NativeCapacity)
    found = {
        own: each.limit if core or each.genome_scale is None else each.genome_scale
        for name, each in known.items()
        if (own := network.find_reaction(name))
    }
    if len(found) < HUMAN * len(known):
        return {}
    undetected = () if core else read_records(file, "undetected", Undetected).values()
    names = ((name, each.limit) for each in undetected for name in each.reactions)
    return {own: limit for name, limit in names if (own := network.find_reaction(name))} | found
