"""Redox pressure: is a cell's trouble redox at all, and in which compartment.

Each pool of NADH, NADPH and ubiquinol is tried with three outside reactions, one at a time; for NADH they are

    acceptor   nadh + h (+ A outside) -> nad (+ AH2 outside)      the acceptor leaves with two hydrogens
    oxygen     nadh + h + 0.5 o2[e] -> nad + h2o                  the oxygen is the cell's own, of its uptake
    donor      nad (+ AH2 outside) -> nadh + h (+ A outside)      the acceptor in reverse

The proton that NADH does not carry is taken from, or given to, the same compartment, as an enzyme there would; a
quinol carries both. Atoms and charge balance. With A = 0.5 O2 the acceptor is an oxidase whose oxygen is outside the
cell's budget: what it gains and `oxygen` does not is due to a lack of oxygen.

mu(t), the largest growth with a flux t of the outside reaction, is concave. Its slope at 0 is taken from a forced
flux of `AMOUNTS[0]`: positive where the reaction helps, negative where its electrons are missed. The slopes of
acceptor and donor are the two one-sided derivatives, which differ but in sign where a cell is at its redox optimum. A
gain is the growth won where up to an amount may run; where the slope is not positive it is 0 for every amount.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np

from redox_balancer.cell.conditions import HEALTHY, Condition
from redox_balancer.cell.exchanges import find_exchange
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.names import EXTRACELLULAR
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.records import pick
from redox_balancer.cell.solution import Status
from redox_balancer.design.diagnosis import AMOUNTS, CARRIERS, Diagnosis, Effect, Pressure
from redox_balancer.design.formulation import NO_GROWTH, Formulation
from redox_balancer.design.growth_limits import limits_of_growth, limits_without_growth, reduced_costs
from redox_balancer.design.programs import optimum
from redox_balancer.design.respiration import OXYGEN
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress


def diagnose(space: DesignSpace, progress: Progress = no_progress) -> Iterator[Diagnosis]:
    """Diagnose a cell under each condition of a design space; what can be built into it plays no part.

    `progress` receives each condition as it starts, with the number that is done. A RedoxError if the model knows no
    NADH, NADPH or ubiquinol, or an unperturbed cell does not grow.
    """
    pools = list(pools_of(space.network))
    if not pools:
        raise RedoxError(
            f"model {space.network.id} has no pool of NADH, NADPH or ubiquinol",
            hint="a model in identifiers other than BiGG's needs the BiGG names nadh, nad, nadph, nadp and h",
            settings=("model",),
        )
    outside = [Column(pool.column(kind), reaction) for pool in pools for kind, reaction in pool.reactions.items()]
    with _Cell(replace(space, network=space.network.with_columns(outside))) as cell:
        states = {line.id: line for line in space.references} | {HEALTHY: space.healthy}
        unperturbed: dict[str, Diagnosis] = {}
        for number, condition in enumerate(space.conditions):
            progress(condition.id, number, len(space.conditions))
            reference = pick(states, condition.reference, "cell line")
            if reference.id not in unperturbed:
                unperturbed[reference.id] = cell.diagnosis(reference, pools)
                if unperturbed[reference.id].growth == 0.0:
                    from redox_balancer.cell.missing import does_not_grow  # noqa: PLC0415 - loads SciPy's solvers

                    healthy = reference == space.healthy
                    medium = "this medium" if healthy else f"the measured uptakes of {reference.id}"
                    raise does_not_grow(reference.apply(space.network), medium)
            known = unperturbed.get(condition.id)
            yield known or replace(cell.diagnosis(condition, pools), unperturbed=unperturbed[reference.id])


class Pool(NamedTuple):
    """A pool of electrons, and the stoichiometry of its outside reactions by kind, in the model's own ids."""

    carrier: str
    compartment: str
    reactions: dict[str, dict[str, float]]

    def column(self, kind: str) -> str:
        """Id of the column of an outside reaction."""
        return f"outside {kind} {self.carrier}_{self.compartment}"


def pools_of(network: Network) -> Iterator[Pool]:
    """The pools of electrons that a model has inside the cell, by compartment."""
    exchange = find_exchange(network, OXYGEN)
    for letter in sorted({network.compartment_of(m) for m in network.metabolites} - {EXTRACELLULAR}):
        for carrier, (_, equation) in CARRIERS.items():
            found = {network.find_metabolite(f"{species}_{letter}"): amount for species, amount in equation.items()}
            oxidation = {metabolite: amount for metabolite, amount in found.items() if metabolite}
            if len(oxidation) < len(equation):
                continue
            reactions = {"acceptor": oxidation, "donor": {m: -amount for m, amount in oxidation.items()}}
            if exchange:
                # Water of a compartment that has none leaves the cell.
                water = {own: 1.0 for own in [network.find_metabolite(f"h2o_{letter}")] if own}
                reactions["oxygen"] = oxidation | {exchange.metabolite: -0.5} | water
            yield Pool(carrier, letter, reactions)


class _Cell:
    """The linear program of growth with the outside reactions, all closed; every solve starts from the last basis."""

    def __init__(self, space: DesignSpace) -> None:
        self._formulation = Formulation(space, compressed=False)
        self._network = self._formulation.network
        self._lp = FluxLP(self._network)
        self._lp.crash_basis()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lp.close()

    def diagnosis(self, condition: Condition, pools: Iterable[Pool]) -> Diagnosis:
        """Growth, its limits and the redox pressure of each pool under a condition."""
        lower, upper = self._formulation.bounds(self._formulation.under(condition).point)
        for column in np.flatnonzero((lower != self._network.lower) | (upper != self._network.upper)).tolist():
            self._lp.set_bounds(column, float(lower[column]), float(upper[column]))
        self._network = network = replace(self._network, lower=lower, upper=upper)
        if growth := self._growth():
            limits = limits_of_growth(network, growth, reduced_costs(self._lp, network))
        else:
            limits = limits_without_growth(self._lp, network)
        pressures = tuple(
            Pressure(
                pool.carrier,
                pool.compartment,
                **{kind: self._effect(pool.column(kind), growth) for kind in pool.reactions},
            )
            for pool in pools
        )
        return Diagnosis(condition.id, growth or 0.0, growth is not None, limits, pressures)

    def _effect(self, reaction: str, growth: float | None) -> Effect:
        """What an outside reaction does to growth."""
        forced = self._with(reaction, AMOUNTS[0], AMOUNTS[0])
        if growth is None:
            # Where the cell cannot live there is no slope, and any amount may be the first that lets it live.
            return Effect(None, tuple(self._with(reaction, 0.0, amount) or 0.0 for amount in AMOUNTS))
        gained = None if forced is None else forced - growth
        if gained is None or gained <= NO_GROWTH:
            slope = None if gained is None else 0.0 if gained >= -NO_GROWTH else gained / AMOUNTS[0]
            return Effect(slope, (0.0,) * len(AMOUNTS))
        larger = (self._with(reaction, 0.0, amount) or 0.0 for amount in AMOUNTS[1:])
        return Effect(gained / AMOUNTS[0], (gained, *(found - growth for found in larger)))

    def _with(self, reaction: str, least: float, most: float) -> float | None:
        column = self._network.column(reaction)
        self._lp.set_bounds(column, least, most)
        growth = self._growth()
        self._lp.set_bounds(column, 0.0, 0.0)
        return growth

    def _growth(self) -> float | None:
        """Largest growth, 1/h; None where the cell cannot live."""
        solution = self._lp.maximise()
        if solution.status is Status.INFEASIBLE:
            return None
        growth = optimum(solution, f"growth of {self._network.id}")
        return growth if growth > NO_GROWTH else 0.0
