"""Curation of a published model: changes with a reason and a source, read from a data file and applied by content.

A file of `data/curation` names reactions by their BiGG names, each with its equation as published, or with what it
creates or destroys if it does not balance. A model is recognised by these, and not by its name or file.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from redox_balancer.cell.balance import imbalance
from redox_balancer.cell.correction import Addition, Correction, Substance
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.records import packaged, read_records, refusal
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    import cobra

RECOGNISED = 0.9
"""Share of the named reactions of a model that must be as published for a packaged curation to be its own."""

PRESENT = 0.5
"""Share of the named reactions that the model must have: a core of a published model lacks those that are blocked."""

NOTE = "curation"
"""Key of the notes of a curated COBRApy model, in which its curation is named: it is not curated again."""


class Curated(NamedTuple):
    """A curated network; reactions and metabolites are by the model's own id."""

    network: Network
    curation: str = ""  # id; empty where the network is as published
    lines: tuple[str, ...] = ()  # what was changed, one line for each reaction and metabolite
    reactions: tuple[str, ...] = ()  # new, or with other bounds or coefficients
    metabolites: tuple[str, ...] = ()  # new, or with another charge or formula

    @property
    def summary(self) -> str:
        """One line with the curation and the number of its changes; empty where there are none."""
        return f"curation {self.curation}: {len(self.lines)} changes of what was published" if self.lines else ""


@dataclass(frozen=True)
class Curation:
    """The changes of one file, by id."""

    id: str  # name of the file without its suffix
    corrections: Mapping[str, Correction]
    names: Mapping[str, str] = field(default_factory=dict)  # own id by BiGG name, of what has another
    additions: Mapping[str, Addition] = field(default_factory=dict)  # reactions that the model lacks, by BiGG name
    substances: Mapping[str, Substance] = field(default_factory=dict)  # their metabolites, likewise

    @classmethod
    def read(cls, path: Path) -> "Curation":
        """Read a file; a RedoxError if an entry does not match the schema, or a reaction is changed twice."""
        corrections = read_records(path, "correction", Correction)
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        names, substances = document.get("names", {}), document.get("substance", {})
        if not (isinstance(names, dict) and all(isinstance(own, str) for own in names.values())):
            raise RedoxError(f"{path.name}: [names] needs ids as texts", hint='write BIGG = "own id"')
        if not isinstance(substances, dict):
            raise RedoxError(
                f"{path.name}: [substance] is no table", hint='write bigg = { formula = "H2O", charge = 0 }'
            )
        try:
            known = {name: Substance.model_validate(entry) for name, entry in substances.items()}
        except ValidationError as error:
            raise refusal(path, "substance", error) from error
        added = read_records(path, "addition", Addition) if "addition" in document else {}
        curation = cls(path.stem, corrections, names, added, known)
        seen: dict[str, str] = {}
        for correction, reaction in curation._named():
            if (other := seen.setdefault(reaction, correction.id)) != correction.id:
                problem = f"{path.name}: {reaction} is changed twice, by {other} and {correction.id}"
                raise RedoxError(problem, hint="remove one")
        return curation

    def recognises(self, network: Network) -> bool:
        """Whether a model, or a core of it, has the reactions that this curation changes, as they were published."""
        named = self._named()
        present = [pair for pair in named if _find(network, pair[1])]
        if len(present) < PRESENT * len(named):
            return False
        mended = self._with_species(network)
        return sum(_as_published(mended, *pair) for pair in present) >= RECOGNISED * len(present)

    def apply(self, network: Network, *, strict: bool = True) -> Curated:
        """Correct a model; what it has already is not changed and not named.

        A RedoxError if the model lacks a reaction or a metabolite, or has a reaction otherwise than it was published.
        Unless `strict`, such entries are left out, and one line says how many.
        """
        mended = self._with_species(network)
        lines = list(self._species_lines(network, strict=strict))
        bounds: dict[str, tuple[float, float]] = {}
        coefficients: dict[str, dict[str, float]] = {}
        left_out = 0
        for correction, reaction in self._named():
            try:
                own, after = self._corrected(network, mended, correction, reaction)
            except RedoxError:
                if strict:
                    raise
                left_out += 1
                continue
            before = network.bounds_of(own)
            if (limits := correction.bounds(*before)) != before:
                bounds[own] = limits
            if after != network.stoichiometry_of(own):
                coefficients[own] = after
            if own in bounds or own in coefficients:
                lines.append(f"{reaction}: {correction} ({correction.mark}): {correction.reason}")
        if left_out and lines:
            lines.append(f"{left_out} reactions of the curation are not in this model, or not as published")
        changed = {
            metabolite: None
            for before, after in ((network.charges, mended.charges), (network.formulas, mended.formulas))
            for metabolite, value in after.items()
            if before.get(metabolite) != value
        }
        added = [addition for addition in self.additions.values() if mended.find_reaction(addition.id) is None]
        lines += [f"{addition.id}: added ({addition.mark}): {addition.reason}" for addition in added]
        extended = self._extended(mended, added)
        new = self.named(_with_coefficients(extended, coefficients).with_bounds(bounds))
        reactions = dict.fromkeys((*bounds, *coefficients, *extended.reactions[len(mended.reactions) :]))
        metabolites = (*changed, *extended.metabolites[len(mended.metabolites) :])
        return Curated(new, self.id, tuple(lines), tuple(reactions), metabolites)

    def named(self, network: Network) -> Network:
        """A copy in which the reactions of `names` have their BiGG names."""
        own = {name: found for name, reaction in self.names.items() if (found := _find(network, reaction))}
        new = {name: found for name, found in own.items() if network.find_reaction(name) is None}
        return replace(network, names=replace(network.names, reactions={**network.names.reactions, **new}))

    def _extended(self, network: Network, added: Iterable[Addition]) -> Network:
        """A network with these reactions; a RedoxError where one does not balance or has an unknown metabolite."""
        formulas, charges, columns, new = dict(network.formulas), dict(network.charges), [], dict[str, None]()
        for addition in added:
            amounts = addition.column.stoichiometry
            own = {network.find_metabolite(name) or name: value for name, value in amounts.items()}
            columns.append(replace(addition.column, stoichiometry=own))
            for name in own.keys() - network.metabolite_index.keys():
                if (substance := self.substances.get(name.rpartition("_")[0])) is None:
                    raise self._unlike(f"{addition.id} names {name}, which neither model nor curation know")
                formulas[name], charges[name] = substance.formula, substance.charge
            new |= dict.fromkeys(own)
        extended = network.with_columns(columns, new_metabolites=new)
        extended = replace(extended, formulas=formulas, charges=charges)
        for column in columns:
            if len(column.stoichiometry) > 1 and (excess := imbalance_text(extended, column.id)):
                raise self._unlike(f"{column.id} does not balance ({excess})")
        return extended

    def _named(self) -> list[tuple[Correction, str]]:
        """Each correction of a reaction."""
        return [
            (correction, reaction) for correction in self.corrections.values() for reaction in correction.reactions
        ]

    def _species_lines(self, network: Network, *, strict: bool) -> Iterator[str]:
        """Lines of the charges and formulas that are changed."""
        own: dict[str, list[str]] = {}
        for metabolite in network.metabolites:
            for species in network.species_of(metabolite):
                own.setdefault(species, []).append(metabolite)
        for correction in self.corrections.values():
            values: dict[str, Any] = {**correction.charges, **correction.formulas}
            kind, present = ("charge", network.charges) if correction.charges else ("formula", network.formulas)
            for species, value in values.items():
                if strict and species not in own:
                    raise self._lacks(network, correction, "metabolite", species)
                if any(present.get(metabolite) != value for metabolite in own.get(species, ())):
                    shown = value if isinstance(value, str) else f"{value:+d}"
                    yield f"{species}: {kind} {shown} ({correction.mark}): {correction.reason}"

    def _corrected(
        self, network: Network, mended: Network, correction: Correction, reaction: str
    ) -> tuple[str, dict[str, float]]:
        """The model's own id of a reaction, and its coefficients after a correction."""
        own = _find(network, reaction)
        if own is None:
            raise self._lacks(network, correction, "reaction", reaction)
        if not _as_published(mended, correction, reaction):
            raise self._unlike(f"{correction.id} is about another {reaction} than model {network.id} has")
        found = network.stoichiometry_of(own)
        for name, value in correction.stoichiometry.items():
            if metabolite := network.find_metabolite(name):
                found[metabolite] = value
            elif value and name.rpartition("_")[0] in self.substances:
                found[name] = value
            elif value:
                raise self._lacks(network, correction, "metabolite", name)
        return own, {metabolite: value for metabolite, value in found.items() if value}

    def _with_species(self, network: Network) -> Network:
        corrected: dict[str, Any] = {}
        for kind in ("charges", "formulas"):
            new = dict(item for each in self.corrections.values() for item in getattr(each, kind).items())
            own = {m: new[species] for m in network.metabolites for species in network.species_of(m) & new.keys()}
            corrected[kind] = {**getattr(network, kind), **own}
        return replace(network, **corrected)

    def _lacks(self, network: Network, correction: Correction, kind: str, name: str) -> RedoxError:
        return self._unlike(f"{correction.id} names {kind} {name}, which model {network.id} lacks")

    def _unlike(self, what: str) -> RedoxError:
        hint = "correct or remove that entry, or give the model that the curation was made for"
        return RedoxError(f"curation {self.id}: {what}", hint=hint, settings=("curation", "model"))


@cache
def _packaged_curations() -> tuple[Curation, ...]:
    return tuple(Curation.read(path) for path in sorted(packaged("curation").glob("*.toml")))


def find_curation(network: Network) -> Curation | None:
    """Return the packaged curation of a model, recognised by its reactions; None if it has none."""
    return next((curation for curation in _packaged_curations() if curation.recognises(network)), None)


def with_names(network: Network, note: str) -> Network:
    """A model with a note of its curation (`NOTE`), and the BiGG names that the packaged curation of that id has."""
    known = {curation.id: curation for curation in _packaged_curations()}
    found = known.get(note.partition(":")[0])
    return found.named(network) if found else network


def curated(network: Network, file: Path | None = None) -> Curated:
    """Correct a model by its packaged curation, if it has one, or by that of a file instead.

    A RedoxError if the file cannot be read, or does not fit the model.
    """
    curation = find_curation(network) if file is None else Curation.read(file)
    return Curated(network) if curation is None else curation.apply(network, strict=file is not None)


def curate_model(model: "cobra.Model", found: Curated) -> "cobra.Model":
    """Give a COBRApy model, in place, the changes of its curated network and a note that names the curation."""
    if not found.lines:
        return model
    from redox_balancer.cell.cobrapy import cobra  # noqa: PLC0415 - takes seconds

    network = found.network
    model.add_metabolites([cobra.Metabolite(own) for own in found.metabolites if own not in model.metabolites])
    model.add_reactions([cobra.Reaction(own) for own in found.reactions if own not in model.reactions])
    for own in found.reactions:
        reaction, coefficients = model.reactions.get_by_id(own), network.stoichiometry_of(own)
        reaction.bounds = network.bounds_of(own)
        old = {metabolite.id: value for metabolite, value in reaction.metabolites.items()}
        if old != coefficients:
            reaction.add_metabolites(dict.fromkeys(old, 0.0) | coefficients, combine=False)
    for own in found.metabolites:
        metabolite = model.metabolites.get_by_id(own)
        metabolite.charge, metabolite.formula = network.charges.get(own), network.formulas.get(own)
        metabolite.compartment = metabolite.compartment or network.compartment_of(own)
    model.notes = {**model.notes, NOTE: found.summary.partition(" ")[2]}
    return model


def imbalance_text(network: Network, reaction: str) -> str:
    """What a reaction creates or destroys per unit of flux, as curations name it: `C -17, charge -2`."""
    found = imbalance(network.stoichiometry_of(reaction), network.formulas, network.charges)
    return ", ".join(f"{element} {amount:g}" for element, amount in sorted(found.items()))


def _find(network: Network, reaction: str) -> str | None:
    """Own id of a reaction; Human-GEM's `MAR03905` was `HMR_3905` before version 1.6."""
    return network.find_reaction(reaction) or network.find_reaction(re.sub(r"^MAR0(?=\d{4}$)", "HMR_", reaction))


def _as_published(network: Network, correction: Correction, reaction: str) -> bool:
    own, published = _find(network, reaction), correction.reactions[reaction]
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
    columns = [Column(own, coefficients.get(own) or network.stoichiometry_of(own)) for own in network.reactions]
    new = Network.of(network.id, columns, metabolites=network.metabolites)
    return replace(network, indptr=new.indptr, indices=new.indices, data=new.data)
