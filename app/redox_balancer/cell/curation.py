"""Curation of a published model: changes with a reason and a source, read from a data file and applied by content.

A file of `data/curation` names reactions by their BiGG names, each with its equation as published, or with what it
creates or destroys if it does not balance. A model is recognised by these, and not by its name or file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from redox_balancer.cell.balance import imbalance
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.records import Positive, Record, packaged, read_records
from redox_balancer.errors import RedoxError

RECOGNISED = 0.9
"""Share of the named reactions that a model must have as published for a packaged curation to be its own."""


class Mark(StrEnum):
    """How certain a change is."""

    MEASURED = "measured"
    KNOWN = "known direction"
    """The enzyme's direction, cofactor or compartment is known."""
    BALANCE = "balance"
    """Follows from the conservation of elements and charge."""
    ASSUMED = "assumed"


class Direction(StrEnum):
    """Direction in which a reaction may run, of its equation as published."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"

    def of(self, lower: float, upper: float) -> tuple[float, float]:
        """Bounds of a reaction in this direction; one that had none of it is unlimited there, mmol/gDW/h."""
        most_back, most = (lower if lower < 0 else -OPEN), (upper if upper > 0 else OPEN)
        return (0.0 if self is Direction.FORWARD else most_back), (0.0 if self is Direction.BACKWARD else most)


class Correction(Record):
    """One correction, for one reason, of one or several reactions or of the charges of metabolites.

    Attributes
    ----------
    mark, reason, source
        How certain it is, why it is made, and where that is known from.
    reactions
        BiGG name of each reaction, with its equation as published or, if `unbalanced`, its imbalance (`charge -2`).
    unbalanced
        Whether the reactions are changed because they do not balance.
    direction, closed, capped, stoichiometry, charges
        What is changed, exactly one of these: the direction in which the reactions may run; no flux at all; the
        largest flux in each direction, mmol/gDW/h; new coefficients of metabolites, 0 to remove one; the charge of
        metabolites (BiGG names without compartment) in every compartment.
    """

    mark: Mark
    reason: str = Field(min_length=1)
    source: str = Field(min_length=1)
    reactions: dict[str, str] = Field(default_factory=dict)
    unbalanced: bool = False
    direction: Direction | None = None
    closed: bool = False
    capped: Positive | None = None
    stoichiometry: dict[str, float] = Field(default_factory=dict)
    charges: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_change(self) -> Self:
        kinds = (self.direction, self.closed, self.capped, self.stoichiometry, self.charges)
        if sum(map(bool, kinds)) != 1:
            raise ValueError("needs exactly one of direction, closed, capped, stoichiometry and charges")
        if bool(self.reactions) == bool(self.charges):
            raise ValueError("needs reactions, unless it changes charges")
        return self

    def __str__(self) -> str:
        if self.direction:
            return "both directions" if self.direction is Direction.BOTH else f"{self.direction} only"
        if self.capped is not None:
            return f"at most {self.capped:g}"
        return "closed" if self.closed else "stoichiometry mended"

    def bounds(self, lower: float, upper: float) -> tuple[float, float]:
        """Bounds of a reaction after this correction, mmol/gDW/h."""
        if self.closed:
            return 0.0, 0.0
        if self.capped is not None:
            return max(lower, -self.capped), min(upper, self.capped)
        return self.direction.of(lower, upper) if self.direction else (lower, upper)


class Curated(NamedTuple):
    """A curated network, and what was changed in it, one line for each reaction and metabolite."""

    network: Network
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Curation:
    """The changes of one file, by id.

    Attributes
    ----------
    id
        Name of the file without its suffix.
    """

    id: str
    corrections: Mapping[str, Correction]

    @classmethod
    def read(cls, path: Path) -> Curation:
        """Read a file; a RedoxError if an entry does not match the schema, or a reaction is changed twice."""
        curation = cls(path.stem, read_records(path, "correction", Correction))
        seen: dict[str, str] = {}
        for correction in curation.corrections.values():
            for reaction in correction.reactions:
                if (other := seen.setdefault(reaction, correction.id)) != correction.id:
                    raise RedoxError(
                        f"{path.name}: {reaction} is changed twice, by {other} and {correction.id}", hint="remove one"
                    )
        return curation

    def recognises(self, network: Network) -> bool:
        """Whether a model has nearly all of the reactions that this curation changes, as they were published."""
        mended = self._with_charges(network)
        named = [
            (correction, reaction) for correction in self.corrections.values() for reaction in correction.reactions
        ]
        return sum(_as_published(mended, *pair) for pair in named) >= RECOGNISED * len(named)

    def apply(self, network: Network) -> Curated:
        """Correction a model.

        Raises
        ------
        RedoxError
            The model lacks a reaction or a metabolite, or has a reaction otherwise than it was published.
        """
        lines: list[str] = []
        mended = self._with_charges(network)
        bounds: dict[str, tuple[float, float]] = {}
        coefficients: dict[str, dict[str, float]] = {}
        for correction in self.corrections.values():
            because = f"{correction} ({correction.mark}): {correction.reason}"
            for species, charge in correction.charges.items():
                if not any(network.is_species(metabolite, species) for metabolite in network.metabolites):
                    raise self._lacks(network, correction, "metabolite", species)
                lines.append(f"{species}: charge {charge:+d} ({correction.mark}): {correction.reason}")
            for reaction in correction.reactions:
                own = network.find_reaction(reaction)
                if own is None:
                    raise self._lacks(network, correction, "reaction", reaction)
                if not _as_published(mended, correction, reaction):
                    raise RedoxError(
                        f"curation {self.id}: {correction.id} is about another {reaction} than {network.id} has",
                        hint="remove that entry, or leave the model as published",
                        settings=("model",),
                    )
                bounds[own] = correction.bounds(*network.bounds_of(own))
                if correction.stoichiometry:
                    coefficients[own] = self._coefficients(network, correction, own)
                lines.append(f"{reaction}: {because}")
        return Curated(_with_coefficients(mended, coefficients).with_bounds(bounds), tuple(lines))

    def _coefficients(self, network: Network, correction: Correction, own: str) -> dict[str, float]:
        found = network.stoichiometry_of(own)
        for name, value in correction.stoichiometry.items():
            metabolite = network.find_metabolite(name)
            if metabolite is None:
                raise self._lacks(network, correction, "metabolite", name)
            found[metabolite] = value
        return {metabolite: value for metabolite, value in found.items() if value}

    def _with_charges(self, network: Network) -> Network:
        charges = {
            species: charge
            for correction in self.corrections.values()
            for species, charge in correction.charges.items()
        }
        known = {m: charges[s] for m in network.metabolites for s in network.species_of(m) & charges.keys()}
        return replace(network, charges={**network.charges, **known})

    def _lacks(self, network: Network, correction: Correction, kind: str, name: str) -> RedoxError:
        return RedoxError(
            f"curation {self.id}: {correction.id} names {kind} {name}, which model {network.id} lacks",
            hint="remove that entry, or leave the model as published",
            settings=("model",),
        )


@cache
def _packaged_curations() -> tuple[Curation, ...]:
    return tuple(Curation.read(path) for path in sorted(packaged("curation").glob("*.toml")))


def find_curation(network: Network) -> Curation | None:
    """Return the packaged curation of a model, recognised by its reactions; None if it has none."""
    return next((curation for curation in _packaged_curations() if curation.recognises(network)), None)


def imbalance_text(network: Network, reaction: str) -> str:
    """What a reaction creates or destroys per unit of flux, as curations name it: `C -17, charge -2`."""
    found = imbalance(network.stoichiometry_of(reaction), network.formulas, network.charges)
    return ", ".join(f"{element} {amount:g}" for element, amount in sorted(found.items()))


def _as_published(network: Network, correction: Correction, reaction: str) -> bool:
    own, published = network.find_reaction(reaction), correction.reactions[reaction]
    if own is None:
        return False
    if correction.unbalanced:
        return imbalance_text(network, own) == published
    equation = parse_equation(published)
    found = network.stoichiometry_of(own)
    return any(
        found == {network.find_metabolite(name): value for name, value in each.items() if value}
        for each in (equation, equation | correction.stoichiometry)  # a curated model is its own, too
    )


def _with_coefficients(network: Network, coefficients: Mapping[str, Mapping[str, float]]) -> Network:
    """A copy in which some reactions have another stoichiometry."""
    if not coefficients:
        return network

    def columns() -> Iterator[Column]:
        for reaction in network.reactions:
            yield Column(reaction, coefficients.get(reaction) or network.stoichiometry_of(reaction))

    new = Network.of(network.id, list(columns()), network.objective, metabolites=network.metabolites)
    return replace(network, indptr=new.indptr, indices=new.indices, data=new.data)
