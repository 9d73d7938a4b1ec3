"""A metabolic network as plain arrays, the form that linear programs and actors use.

COBRApy reads and writes model files (`models.py`); all computation uses `Network`, which pickles in milliseconds and
needs nothing but NumPy.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.names import EXTRACELLULAR, Names
from redox_balancer.errors import RedoxError

LEDGER = "_ledger"
"""Suffix of bookkeeping metabolites: they count what a medium or a construct limits, and are no substances."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Network:
    """Reactions, metabolites and bounds of a metabolic network.

    The stoichiometric matrix S, shape (metabolites, reactions), is in compressed sparse column (CSC) format:
    `indptr`, `indices`, `data`. Columns are in the order of `reactions`, rows in that of `metabolites`.
    """

    id: str  # name of the model
    reactions: tuple[str, ...]
    metabolites: tuple[str, ...]
    indptr: IntArray
    indices: IntArray
    data: FloatArray
    lower: FloatArray  # flux bounds, shape (reactions,), mmol/gDW/h (1/h for the biomass reaction)
    upper: FloatArray
    objective: str  # the reaction whose flux is growth, by the model's own id
    formulas: Mapping[str, str] = field(default_factory=dict)  # of each metabolite that has one
    charges: Mapping[str, int] = field(default_factory=dict)
    names: Names = field(default_factory=Names)  # BiGG names, which find a reaction or metabolite too
    repairs: tuple[str, ...] = ()  # what was mended or is read otherwise than the model file says, one line each

    @classmethod
    def of(
        cls, name: str, columns: "Sequence[Column]", objective: str = "", *, metabolites: Iterable[str] = ()
    ) -> "Network":
        """Build a network of these reactions; metabolites have the order given, and then that of their appearance."""
        nothing, floats = np.zeros(0, dtype=np.int32), np.zeros(0)
        empty = cls(name, (), (), np.zeros(1, dtype=np.int32), nothing, floats, floats, floats, objective)
        used = (metabolite for column in columns for metabolite in column.stoichiometry)
        return empty.with_columns(columns, new_metabolites=dict.fromkeys((*metabolites, *used)))

    @cached_property
    def reaction_index(self) -> dict[str, int]:
        """Column of each reaction."""
        return {reaction: column for column, reaction in enumerate(self.reactions)}

    @cached_property
    def metabolite_index(self) -> dict[str, int]:
        """Row of each metabolite."""
        return {metabolite: row for row, metabolite in enumerate(self.metabolites)}

    def find_reaction(self, name: str) -> str | None:
        """Return the model's id of a reaction, given that id or its BiGG name; None if there is none."""
        return _find(name, self.reaction_index, self.names.reactions)

    def find_metabolite(self, name: str) -> str | None:
        """Return the model's id of a metabolite, given that id or its BiGG name; None if there is none."""
        return _find(name, self.metabolite_index, self.names.metabolites)

    @cached_property
    def bigg_names(self) -> dict[str, str]:
        """BiGG name by id, for each metabolite and reaction whose id differs; the alphabetically first of several."""
        pairs = [*self.names.metabolites.items(), *self.names.reactions.items()]
        return {own: name for name, own in sorted(pairs, reverse=True)}

    def is_species(self, metabolite: str, *species: str) -> bool:
        """Whether the id or a BiGG name of a metabolite, less its compartment, is one of some: `nadh` of `nadh_c`."""
        return not self.species_of(metabolite).isdisjoint(species)

    @cached_property
    def column_of(self) -> NDArray[np.intp]:
        """Column of each entry of `data`."""
        return np.repeat(np.arange(len(self.reactions)), np.diff(self.indptr))

    def species_of(self, metabolite: str) -> set[str]:
        """The id and the BiGG names of a metabolite, each less its compartment: `nadh` of `nadh_c`."""
        return {name.rpartition("_")[0] for name in (metabolite, *self._names_of.get(metabolite, ()))}

    @cached_property
    def _names_of(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, own in self.names.metabolites.items():
            found.setdefault(own, []).append(name)
        return found

    def column(self, reaction: str) -> int:
        """Return the column of a reaction, given its id or BiGG name; a RedoxError if there is none."""
        own = self.find_reaction(reaction)
        if own is None:
            raise RedoxError(
                f"model {self.id} has no reaction {reaction!r}", hint="use the id of the model or the BiGG name"
            )
        return self.reaction_index[own]

    def bounds_of(self, reaction: str) -> tuple[float, float]:
        """Return the lower and upper bound of a reaction, mmol/gDW/h."""
        column = self.column(reaction)
        return float(self.lower[column]), float(self.upper[column])

    def stoichiometry_of(self, reaction: str) -> dict[str, float]:
        """Return the coefficient of each metabolite of a reaction, negative for consumed ones."""
        return {self.metabolites[row]: value for row, value in self.entries(self.column(reaction)).items()}

    def entries(self, column: int) -> dict[int, float]:
        """Return the coefficients of a column by row."""
        span = slice(self.indptr[column], self.indptr[column + 1])
        return dict(zip(self.indices[span].tolist(), self.data[span].tolist(), strict=True))

    def reverse_of(self, reaction: str) -> str | None:
        """Return the reaction that runs a one-way reaction backwards, where a model splits it in two.

        It has the name that GECKO gives it, or the opposite stoichiometry; each may consume more, such as its enzyme.
        """
        one_way = (self.lower >= 0) ^ (self.upper <= 0)
        column = self.column(reaction)
        if not one_way[column]:
            return None
        if (named := f"{self.reactions[column]}_REV") in self.reaction_index:
            return named
        runs = np.where(one_way, np.where(self.upper > 0, 1.0, -1.0), 0.0)[self.column_of] * self.data
        running = replace(self, data=runs)
        own = running.entries(column)
        shared = np.bincount(self.column_of[np.isin(self.indices, list(own))])
        for candidate in np.flatnonzero(shared >= 2).tolist():
            other = running.entries(candidate)
            pairs = [(own.get(row, 0.0), other.get(row, 0.0)) for row in own | other]
            turned = {mine > 0 for mine, theirs in pairs if mine == -theirs != 0}
            if turned == {True, False} and all(mine == -theirs or max(mine, theirs) <= 0 for mine, theirs in pairs):
                return self.reactions[candidate]
        return None

    @cached_property
    def exchanges(self) -> tuple[str, ...]:
        """Reactions with a single, extracellular metabolite."""
        found = set[str]()
        for metabolite, coefficients in self.boundary_coefficients.items():
            found |= coefficients.keys() if self.compartment_of(metabolite) == EXTRACELLULAR else set()
        return tuple(reaction for reaction in self.boundary if reaction in found)

    def compartment_of(self, metabolite: str) -> str:
        """Return the BiGG letter of a metabolite's compartment, by its id where the model does not say."""
        return self.names.compartments.get(metabolite) or metabolite.rpartition("_")[2]

    @cached_property
    def boundary(self) -> tuple[str, ...]:
        """Reactions with a single metabolite: exchanges, sinks and demands, but not those of bookkeeping."""
        alone = np.flatnonzero(np.diff(self.indptr) == 1).tolist()
        rows = self.indices[self.indptr[alone]].tolist()
        found = zip(alone, rows, strict=True)
        return tuple(self.reactions[column] for column, row in found if not self.metabolites[row].endswith(LEDGER))

    @cached_property
    def boundary_coefficients(self) -> dict[str, dict[str, float]]:
        """Coefficient of each boundary reaction by reaction, for each metabolite that has one."""
        found: dict[str, dict[str, float]] = {}
        for reaction in self.boundary:
            ((metabolite, coefficient),) = self.stoichiometry_of(reaction).items()
            found.setdefault(metabolite, {})[reaction] = coefficient
        return found

    def with_bounds(self, bounds: Mapping[str, tuple[float, float]]) -> "Network":
        """Return a copy with new (lower, upper) bounds of the named reactions, mmol/gDW/h."""
        lower, upper = self.lower.copy(), self.upper.copy()
        for reaction, (low, high) in bounds.items():
            if low > high:
                raise RedoxError(f"{reaction}: lower bound {low:g} is above upper bound {high:g}")
            column = self.column(reaction)
            lower[column], upper[column] = low, high
        return replace(self, lower=lower, upper=upper)

    def unforced(self) -> "Network":
        """Return a copy in which no bound forces a flux."""
        return replace(self, lower=np.minimum(self.lower, 0.0), upper=np.maximum(self.upper, 0.0))

    def with_objective(self, reaction: str) -> "Network":
        """Return a copy with another objective reaction, given by its id or BiGG name."""
        return replace(self, objective=self.reactions[self.column(reaction)])

    def with_columns(self, columns: "Sequence[Column]", *, new_metabolites: Iterable[str] = ()) -> "Network":
        """Return a copy with additional reactions, and with `new_metabolites` where the model lacks them.

        A RedoxError if a reaction exists already, or any other metabolite is unknown.
        """
        metabolites = self.metabolites + tuple(m for m in new_metabolites if m not in self.metabolite_index)
        rows = {metabolite: row for row, metabolite in enumerate(metabolites)}
        for column in columns:
            if column.id in self.reaction_index:
                raise RedoxError(f"model {self.id} already has a reaction {column.id!r}")
            if unknown := [metabolite for metabolite in column.stoichiometry if metabolite not in rows]:
                raise RedoxError(f"{column.id}: model {self.id} has no metabolite {unknown[0]!r}")
        entries = [entry for column in columns for entry in column.stoichiometry.items()]
        ends = np.cumsum([len(column.stoichiometry) for column in columns], dtype=np.int32)
        return replace(
            self,
            reactions=self.reactions + tuple(column.id for column in columns),
            metabolites=metabolites,
            indptr=np.append(self.indptr, self.indptr[-1] + ends),
            indices=np.append(self.indices, [rows[metabolite] for metabolite, _ in entries]).astype(np.int32),
            data=np.append(self.data, [value for _, value in entries]),
            lower=np.append(self.lower, [column.lower for column in columns]),
            upper=np.append(self.upper, [column.upper for column in columns]),
        )

    def subset(self, reactions: Iterable[str]) -> "Network":
        """Return a copy with the named reactions only, in this network's order, and their metabolites."""
        keep = np.zeros(len(self.reactions), dtype=np.bool_)
        keep[[self.column(reaction) for reaction in reactions]] = True
        entries = keep[self.column_of]
        used, indices = np.unique(self.indices[entries], return_inverse=True)
        metabolites = dict.fromkeys(self.metabolites[row] for row in used.tolist())
        return replace(
            self,
            reactions=tuple(itertools.compress(self.reactions, keep)),
            metabolites=tuple(metabolites),
            indptr=np.append(0, np.cumsum(np.diff(self.indptr)[keep])).astype(np.int32),
            indices=indices.astype(np.int32),
            data=self.data[entries],
            lower=self.lower[keep],
            upper=self.upper[keep],
            formulas={m: f for m, f in self.formulas.items() if m in metabolites},
            charges={m: c for m, c in self.charges.items() if m in metabolites},
        )


def _find(name: str, own: Mapping[str, int], names: Mapping[str, str]) -> str | None:
    found = name if name in own else names.get(name)
    # A subset of a model keeps the names of the full model.
    return found if found in own else None


@dataclass(frozen=True)
class Column:
    """A reaction to add to a network: coefficients, negative for consumed metabolites, and bounds in mmol/gDW/h."""

    id: str
    stoichiometry: Mapping[str, float]
    lower: float = 0.0
    upper: float = 0.0
