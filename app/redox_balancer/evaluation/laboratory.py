"""Cells of one network under blocks, conditions and inserted enzymes: their growth and their least fluxes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np

from redox_balancer.cell.conditions import combined, load_conditions, pick_condition, with_supplies
from redox_balancer.cell.energetic_directions import growth_by_ratios, with_energetic_directions
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Column, FloatArray, Network
from redox_balancer.cell.probes import Free, free_fluxes, probes_of
from redox_balancer.design.enzymes import load_library
from redox_balancer.evaluation.experiments import ExperimentFile
from redox_balancer.evaluation.verdicts import ZERO

ADDED = "ADDED_"  # prefix of the reactions of inserted enzymes
AT_BOUND = 1e-9  # distance from a bound up to which a flux is at it, mmol/gDW/h

Weights = tuple[tuple[str, float], ...]


class CannotExpressError(Exception):
    """A network lacks what an assay needs; the message says what."""


class Cell(NamedTuple):
    """What distinguishes a cell from the intact one on the medium: blocks, conditions and enzymes, by id."""

    blocks: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    enzymes: tuple[str, ...] = ()


class _Solved(NamedTuple):
    """An optimum, None if there is none, and the bounds and fluxes it belongs to."""

    value: float | None
    lower: FloatArray
    upper: FloatArray
    fluxes: FloatArray


class Laboratory:
    """Cells of one network, the intact cell on its medium; equal cells are computed once.

    With `ratios` growth is that of capacities which depend on the ratios of NAD+ to NADH, and energies decide on the
    direction of ATP synthase and its carrier, see `growth_by_ratios`. Smallest fluxes are those of stoichiometry.
    `draws` is how often the energies are drawn from their uncertainty, and `ranges` are of concentrations, M: they go
    before those of conditions.
    """

    def __init__(
        self,
        network: Network,
        file: ExperimentFile,
        *,
        ratios: bool = False,
        draws: int = 0,
        ranges: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self._file, self._ratios, self.draws, self._ranges = file, ratios, draws, ranges or {}
        self._by_ratios: dict[Cell, FloatArray] = {}
        self._insertions = {
            f"{enzyme.id}_{site.compartment}": (site.stoichiometry, site.reversible)
            for enzyme in load_library().values()
            for site in enzyme.sites
        } | {insertion.id: (insertion.stoichiometry, False) for insertion in file.insertions.values()}
        assays = [assay for experiment in file.experiments.values() for assay in experiment.assays]
        self._used = tuple(dict.fromkeys(name for assay in assays for name in assay.enzymes))
        named = dict.fromkeys(name for assay in assays for name in (*assay.medium, *assay.adds))
        self._conditions = {name: pick_condition(load_conditions(), name) for name in named}
        self._solved: dict[tuple[Cell, Weights, bool], _Solved] = {}
        self._selective: dict[str, dict[str, float]] = {}
        self.network = network
        self._with_enzymes = self._inserted(network)
        self._lp = FluxLP(self._with_enzymes)
        self._bounds = self._with_enzymes.lower, self._with_enzymes.upper

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lp.close()

    def move(self, network: Network) -> None:
        """Continue with other bounds; another stoichiometry takes another linear program."""
        before, self.network, self._by_ratios = self._with_enzymes, network, {}
        self._with_enzymes = self._inserted(network)
        if not _same_stoichiometry(before, self._with_enzymes):
            self._lp.close()
            self._lp, self._solved = FluxLP(self._with_enzymes), {}
            self._bounds = self._with_enzymes.lower, self._with_enzymes.upper

    def growth(self, cell: Cell) -> float:
        """Largest growth of a cell, 1/h; 0 where its maintenance cannot be met."""
        return self.growths(cell).item(0)

    def growths(self, cell: Cell) -> FloatArray:
        """The same with the best estimate of the energies and with each draw, shape (1 + draws,), 1/h."""
        value = max(0.0, self._maximise(cell, ((self._with_enzymes.objective, 1.0),), 0.0) or 0.0)
        if not self._ratios or value <= ZERO:
            return np.full(1 + self.draws, value)
        if cell not in self._by_ratios:
            lower, upper = self._bounds_of(cell)
            network = replace(self._with_enzymes, lower=lower, upper=upper)
            levels = [level for name in cell.conditions for level in self._conditions[name].concentrations.items()]
            ranges = {name: (level.low, level.high) for name, level in levels} | dict(self._ranges)
            self._by_ratios[cell] = growth_by_ratios(network, value, self.draws, ranges)
        return self._by_ratios[cell]

    def least(self, cell: Cell, weights: Mapping[str, float], growth: float) -> float:
        """Smallest value of a weighted flux at no less than this growth (1/h), mmol/gDW/h."""
        value = self._maximise(cell, tuple((reaction, -weight) for reaction, weight in weights.items()), growth)
        return 0.0 if value is None else -value

    def oxidised(self, enzyme: str) -> dict[str, float]:
        """Largest flux from an outside source of NADPH and of NADH through an inserted enzyme, by cofactor.

        Nothing but oxygen, water and protons is exchanged, and the respiratory chain is closed; at most 1 mmol/gDW/h.
        """
        if enzyme not in self._selective:
            column = self._column(enzyme)
            inserted = self.network.with_columns([Column(column.id, column.stoichiometry, 0.0, OPEN)])
            letter = enzyme.rpartition("_")[2]
            subjects = [f"{cofactor}_{letter}" for cofactor in ("nadph", "nadh")]
            oxidations = [probe for probe in probes_of(inserted) if probe.free is Free.OXIDATION]
            chosen = [probe for probe in oxidations if probe.subject in subjects]
            self._selective[enzyme] = {probe.subject: flux for probe, flux in free_fluxes(inserted, chosen).items()}
        return self._selective[enzyme]

    def missing(self, condition: str) -> list[str]:
        """Reactions and exchanges of a condition that the network lacks."""
        return list(dict.fromkeys(pick_condition(load_conditions(), condition).missing_from(self.network)))

    def require(self, conditions: Iterable[str]) -> None:
        """Raise `CannotExpressError` where the network lacks what one of these conditions changes."""
        for condition in conditions:
            if missing := self.missing(condition):
                raise CannotExpressError(f"no {', '.join(missing)}")

    def found(self, names: Iterable[str]) -> list[str]:
        """The network's own reactions of these names, with those that it writes in two directions."""
        own = dict.fromkeys(found for name in names if (found := self.network.find_reaction(name)) is not None)
        return [*own, *(reverse for name in own if (reverse := self.network.reverse_of(name)) is not None)]

    def _maximise(self, cell: Cell, weights: Weights, growth: float) -> float | None:
        lower, upper = self._bounds_of(cell)
        biomass = self._with_enzymes.column(self._with_enzymes.objective)
        lower[biomass] = max(lower[biomass], growth)
        key = cell, weights, growth > 0.0
        before = self._solved.get(key)
        if before is None or not _still_optimal(before, lower, upper):
            self._solved[key] = self._solve(dict(weights), lower, upper)
        return self._solved[key].value

    def _solve(self, weights: Mapping[str, float], lower: FloatArray, upper: FloatArray) -> _Solved:
        for column in np.flatnonzero((lower != self._bounds[0]) | (upper != self._bounds[1])).tolist():
            self._lp.set_bounds(column, lower.item(column), upper.item(column))
        self._bounds = lower, upper
        self._lp.set_objective(weights)
        solution = self._lp.maximise()
        return _Solved(solution.objective if solution.optimal else None, lower, upper, self._lp.fluxes())

    def _bounds_of(self, cell: Cell) -> tuple[FloatArray, FloatArray]:
        network = self._with_enzymes
        if cell.conditions:
            network = combined([self._conditions[name] for name in cell.conditions]).apply(network)
        bounds: dict[str, tuple[float, float]] = {}
        for name in cell.blocks:
            if not (reactions := self.found(self._file.blocks[name].reactions)):
                raise CannotExpressError(f"no {' or '.join(self._file.blocks[name].reactions)}")
            bounds |= dict.fromkeys(reactions, (0.0, 0.0))
        for name in cell.enzymes:
            column, reversible = self._column(name), self._insertions[name][1]
            bounds[column.id] = (-OPEN if reversible else 0.0, OPEN)
        network = network.with_bounds(bounds)
        return network.lower.copy(), network.upper.copy()

    def _inserted(self, network: Network) -> Network:
        network = network.with_columns([self._column(name) for name in self._used if not self._lacking(name)])
        # One stoichiometry for all cells, so that one linear program serves them.
        network = with_supplies(network, self._conditions.values())
        return with_energetic_directions(network) if self._ratios else network

    def _lacking(self, enzyme: str) -> list[str]:
        return [name for name in self._insertions[enzyme][0] if self.network.find_metabolite(name) is None]

    def _column(self, enzyme: str) -> Column:
        if lacking := self._lacking(enzyme):
            raise CannotExpressError(f"no {', '.join(lacking)} for {enzyme}")
        stoichiometry = self._insertions[enzyme][0].items()
        own = {self.network.find_metabolite(name) or name: amount for name, amount in stoichiometry}
        return Column(f"{ADDED}{enzyme}", own)


def _same_stoichiometry(one: Network, other: Network) -> bool:
    parts = ((one.indptr, other.indptr), (one.indices, other.indices), (one.data, other.data))
    return one.reactions == other.reactions and all(np.array_equal(*pair) for pair in parts)


def _still_optimal(solved: _Solved, lower: FloatArray, upper: FloatArray) -> bool:
    """Whether an optimum holds for other bounds: its fluxes meet them, and it was at none that is wider now."""
    if solved.value is None:
        return np.array_equal(lower, solved.lower) and np.array_equal(upper, solved.upper)
    v = solved.fluxes
    if (v < lower - AT_BOUND).any() or (v > upper + AT_BOUND).any():
        return False
    wider = ((lower < solved.lower) & (v <= solved.lower + AT_BOUND)) | (
        (upper > solved.upper) & (v >= solved.upper - AT_BOUND)
    )
    return not wider.any()
