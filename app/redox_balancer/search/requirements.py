"""What a curation must not take from a model: growth on a medium, and metabolic functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from redox_balancer.cell.function_list import Function
from redox_balancer.cell.functions import SLACK, FunctionalCell
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.suspicion import DirectedStep
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress
from redox_balancer.search.free_cycles import steps_of

GROWTH_KEPT = 0.99, *(share / 10 for share in range(9, 0, -1)), 0.05, 0.02, 0.01
"""Shares of growth to keep: the largest that is possible, since growth may rest on what is free."""
GROWTH = "growth"
_IDLE = 1e-9  # flux, mmol/gDW/h, and gain of the objective per unit of flux, that count as none

Bounds = Mapping[str, tuple[float, float]]


class ClosableLP:
    """A flux balance problem in which steps are closed and opened again."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._lp = FluxLP(network, {})
        self._closed: frozenset[DirectedStep] = frozenset()
        self._bounds: Bounds = {}

    def close(self) -> None:
        """Free the problem."""
        self._lp.close()

    def largest(self, goal: str, closed: frozenset[DirectedStep], bounds: Bounds) -> float:
        """Largest flux of a reaction without the closed steps, with some bounds otherwise, mmol/gDW/h; 0 if none."""
        return self.solve({goal: 1.0}, closed, bounds) or 0.0

    def solve(self, weights: Mapping[str, float], closed: frozenset[DirectedStep], bounds: Bounds) -> float | None:
        """Largest weighted sum of fluxes; None where the bounds cannot be met."""
        touched = {step.reaction for step in closed ^ self._closed} | self._bounds.keys() | bounds.keys()
        self._closed, self._bounds = closed, bounds
        for reaction in touched:
            low, high = bounds.get(reaction) or self.network.bounds_of(reaction)
            low = max(low, 0.0) if DirectedStep(reaction, backwards=True) in closed else low
            high = min(high, 0.0) if DirectedStep(reaction) in closed else high
            self._lp.set_bounds(self.network.column(reaction), low, max(low, high))
        self._lp.set_objective(weights)
        solution = self._lp.maximise()
        return solution.objective if solution.optimal else None

    def running(self) -> frozenset[DirectedStep]:
        """The steps that run in the last solution."""
        return steps_of(self._lp.fluxes(), self.network, _IDLE)

    def fluxes(self, reactions: Iterable[str]) -> dict[str, float]:
        """Fluxes of the last solution, mmol/gDW/h."""
        return {reaction: self._lp.flux(self.network.column(reaction)) for reaction in reactions}

    def limiting(self) -> frozenset[DirectedStep]:
        """The closed steps that would raise the last optimum by its reduced costs; all of them where these fail."""
        ordered = sorted(step for step in self._closed if step.reaction in self.network.reaction_index)
        known = self._lp.reduced_costs([self.network.column(step.reaction) for step in ordered])
        if known is None:
            return frozenset(ordered)
        gains = zip(ordered, known.costs.tolist(), strict=True)
        return frozenset(step for step, gain in gains if (-gain if step.backwards else gain) > _IDLE)


@dataclass(eq=False)
class Need:
    """Growth, or a function that a model must still perform: a reaction with a least flux, mmol/gDW/h.

    `bounds` are those that differ from the problem's own, and `witnesses` the steps of each solution that did it.
    """

    name: str
    goal: str
    amount: float
    lp: ClosableLP
    bounds: Bounds
    witnesses: list[frozenset[DirectedStep]] = field(default_factory=list, repr=False)

    def met(self, closed: frozenset[DirectedStep]) -> bool:
        """Whether it can be done without the closed steps."""
        if any(witness.isdisjoint(closed) for witness in self.witnesses):
            return True
        if self.lp.largest(self.goal, closed, self.bounds) < self.amount:
            return False
        self.witnesses.append(self.lp.running())
        return True

    def conflict(self, closed: frozenset[DirectedStep]) -> frozenset[DirectedStep]:
        """Some of the closed steps that together prevent it, none of which can be left out."""
        self.lp.largest(self.goal, closed, self.bounds)
        guess = self.lp.limiting()
        kept = guess if self.lp.largest(self.goal, guess, self.bounds) < self.amount else closed
        for step in sorted(kept):
            if self.lp.largest(self.goal, kept - {step}, self.bounds) < self.amount:
                kept -= {step}
        return kept


class Requirements:
    """Growth on a medium and the functions that a model performs as it is published.

    `network` has the bounds of the medium; `functions` and `names` are those of `FunctionalCell`, and `growth`, 1/h,
    is the largest as published, by default that of `network`.
    """

    def __init__(
        self, network: Network, functions: Iterable[Function], names: Mapping[str, str], growth: float | None = None
    ) -> None:
        functions = tuple(functions)
        cell = FunctionalCell(network, functions, names)
        self._growing, self._functional = ClosableLP(network), ClosableLP(cell.network)
        self.growth = growth or self._growing.largest(network.objective, frozenset(), {})
        if self.growth <= _IDLE:
            raise RedoxError(
                f"model {network.id} does not grow, so a curation could keep no growth",
                hint="choose a medium on which it grows",
                settings=("medium", "biomass"),
            )
        self.kept = GROWTH_KEPT[0]
        self.needs = [Need(GROWTH, network.objective, self.kept * self.growth, self._growing, {})]
        for function in functions:
            if function.name not in cell.missing and not function.should_fail:
                goal, amount = cell.goal(function)
                bounds = cell.bounds(function)
                self.needs.append(Need(function.name, goal, (1.0 - SLACK) * amount, self._functional, bounds))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._growing.close()
        self._functional.close()

    def unmet(self, closed: frozenset[DirectedStep], progress: Progress = no_progress) -> list[Need]:
        """The needs that cannot be met without the closed steps."""
        found = []
        for done, need in enumerate(self.needs):
            progress("growth and functions", done, len(self.needs))
            if not need.met(closed):
                found.append(need)
        return found

    def give_up(self, name: str) -> bool:
        """Require a smaller share of growth, or a function no longer; False where growth cannot be required less."""
        if name != GROWTH:
            self.needs = [need for need in self.needs if need.name != name]
            return True
        smaller = [share for share in GROWTH_KEPT if share < self.kept]
        if smaller:
            self.kept = smaller[0]
            self.needs[0].amount = self.kept * self.growth  # what was enough before is enough now
        return bool(smaller)


def with_directions(network: Network, reactions: Iterable[str]) -> Network:
    """A network in which a reversible reaction `R` is `R` forwards and `~R` backwards."""
    both = [reaction for reaction in reactions if network.bounds_of(reaction)[0] < 0]
    columns = [
        Column(
            str(DirectedStep(r, backwards=True)),
            {m: -v for m, v in network.stoichiometry_of(r).items()},
            0.0,
            -network.bounds_of(r)[0],
        )
        for r in both
    ]
    return network.with_bounds({r: (0.0, max(0.0, network.bounds_of(r)[1])) for r in both}).with_columns(columns)
