"""What the page shows of a state: the library's numbers of a cell, a condition with moved bounds, a construct."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from redox_balancer.cell.cell_lines import in_cell_lines
from redox_balancer.cell.choice import changed_bounds, in_own_terms
from redox_balancer.cell.conditions import HEALTHY, JOIN, Condition, load_conditions, pick_condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator, Outcome, Reference
from redox_balancer.design.formulation import Formulation, growth_kept
from redox_balancer.design.named_construct import NamedConstruct
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.explore.analysis import Order
from redox_balancer.explore.quantities import quantities_of
from redox_balancer.explore.state import ExploreState

REMEMBERED = 20
"""Answers that are kept for the next question about the same state."""
REGION_BYTES = 1_000_000
"""Memory for the critical regions of each linear program."""
EXPLORED = "explored"
"""Id of the condition of a state with moved bounds, in a file and for the search."""
_SAME_LINK = "open the link beside the model, medium and options that it was made with"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Numbers:
    """Numbers of a state: value and its parts, the cell without the construct, protein as shares of the proteome."""

    outcome: Outcome
    reference: Reference
    soluble: float
    membrane: float
    growth_cost: float  # share of growth that expression costs
    within_budget: bool


class ExploredCell:
    """A cell, on its own or of a line, whose bounds can be moved; for one thread, as its linear programs are.

    Parameters
    ----------
    task
        Model, medium, library, conditions and budgets, with one cell line or none.

    Raises
    ------
    RedoxError
        As `Task.space`, and where the cell does not grow.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.line = task, (task.cells or ("",))[0]
        offered = task.space()
        known = load_conditions(task.conditions_file)
        names = [c.id.removeprefix(f"{self.line}{JOIN}") for c in offered.conditions]
        names = [HEALTHY if name == self.line else name for name in names]
        self._known = {HEALTHY: Condition(id=HEALTHY, description="the cell on its medium")} | known
        self.conditions = {name: pick_condition(self._known, name) for name in names}
        self.quantities = {q.key: q for q in quantities_of(offered, self.conditions.values())}
        self._network = offered.network  # with the reactions of every opened uptake
        widest = [q.change(q.most, opens=True) for q in self.quantities.values()]
        every = in_own_terms(offered.network, [Condition(id=EXPLORED, description="", changes=tuple(widest))])
        changes = changed_bounds((*offered.references, *offered.conditions, *every))
        self.space: DesignSpace = replace(offered, changes=changes)
        # A slider seldom comes back to a value, so that little is worth remembering.
        self._evaluator = Evaluator(self.space, cache_entries=REMEMBERED, region_bytes=REGION_BYTES)
        self._formulation = Formulation(self.space, compressed=False)
        self._known_states: dict[tuple[str, str], Any] = {}  # what was computed of the latest states

    def close(self) -> None:
        """Free the linear programs."""
        self._evaluator.close()

    @cached_property
    def checksum(self) -> str:
        """Tells model, medium and line apart."""
        network, digest = self.task.network(), hashlib.sha256()
        for array in (network.data, network.lower, network.upper):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update("\n".join([*network.reactions, network.objective]).encode())
        return digest.hexdigest()[:8]

    def require_fit(self, state: ExploreState) -> None:
        """Raise a RedoxError where a state names what this cell has not, or a bound beyond its slider."""
        if state.model not in ("", self.checksum):
            raise RedoxError("this link is of another model or medium", hint=_SAME_LINK)
        if state.condition not in self.conditions:
            pick_condition(self.conditions, state.condition)
        for key, value in state.bounds.items():
            quantity = self.quantities.get(key)
            if quantity is None:
                raise RedoxError(f"{key!r} is no bound that can be moved in this model", hint=_SAME_LINK)
            if value > quantity.most:
                hint = f"choose a value from 0 to {quantity.most:g} mmol/gDW/h"
                raise RedoxError(f"{key} = {value:g} is out of range", hint=hint)
        placements = {placement.id for placement in self.space.placements}
        for name, fraction in state.enzymes.items():
            if name not in placements:
                raise RedoxError(f"{name!r} is no enzyme of this model's library", hint=_SAME_LINK)
            if fraction not in self.space.levels:
                levels = ", ".join(f"{100 * level:g} %" for level in self.space.levels)
                raise RedoxError(f"{name} has no level {100 * fraction:g} %", hint=f"choose one of {levels}")

    def checked_values(self, state: ExploreState) -> dict[str, float]:
        """`values` of a state that fits."""
        self.require_fit(state)
        return self.values(state)

    def condition(self, state: ExploreState) -> Condition:
        """The condition of a state in the terms of a file of conditions, without the line."""
        base = pick_condition(self.conditions, state.condition)
        if not state.bounds:
            return base
        usual = self.values(state.changed(bounds={}))
        moved = [self.quantities[key].change(value, opens=value > usual[key]) for key, value in state.bounds.items()]
        keys = {change.of(self._network).key for change in moved}
        kept = [change for change in base.changes if change.of(self._network).key not in keys]
        return base.model_copy(
            update={
                "id": EXPLORED,
                "description": f"{base.description}, with moved bounds",
                "changes": (*kept, *moved),
            }
        )

    def own_condition(self, state: ExploreState) -> Condition:
        """The same in the line and in the model's own terms, as `Task.space` makes it of a file."""

        def made() -> Condition:
            (joint,) = in_cell_lines(self.space.references, [self.condition(state)])
            return joint.of(self.space.network)

        return self._once("condition", state.changed(enzymes={}), made)

    def values(self, state: ExploreState) -> dict[str, float]:
        """Where each slider stands, mmol/gDW/h; no further than its end."""
        usual = self._once("values", state.changed(bounds={}, enzymes={}), lambda: self._values(state.condition))
        return usual | state.bounds

    def _values(self, condition: str) -> dict[str, float]:
        network, own = self.space.network, self.own_condition(ExploreState(condition=condition))
        lower, upper = self._formulation.bounds(self._formulation.under(own).point)
        found = {}
        for key, quantity in self.quantities.items():
            change = quantity.change(1.0).of(network)
            column = network.column(change.reaction)
            ends = [-lower[column]] * change.side.limits_lower + [upper[column]] * change.side.limits_upper
            found[key] = min(quantity.most, max(0.0, float(max(ends)) / change.value))
        return found

    def _once(self, what: str, state: ExploreState, compute: Callable[[], Answer]) -> Answer:
        """Compute something of a state, unless it is among the latest answers."""
        key = (what, state.query())
        if key not in self._known_states:
            self._known_states = dict(list(self._known_states.items())[-REMEMBERED:])
            self._known_states[key] = compute()
        answer: Answer = self._known_states[key]
        return answer

    def construct(self, state: ExploreState) -> Construct:
        """The construct of a state in the space of this cell."""
        built = Construct.empty(len(self.space.placements))
        for position, placement in enumerate(self.space.placements):
            if placement.id in state.enzymes:
                built = built.place(position, self.space.levels.index(state.enzymes[placement.id]))
        return built

    def numbers(self, state: ExploreState) -> Numbers:
        """Value, growth, capacity and protein, as of `rb.evaluate`."""
        construct, condition = self.construct(state), self.own_condition(state)
        soluble, membrane = self.space.spent(construct)
        return Numbers(
            outcome=self._evaluator.evaluate(construct, condition),
            reference=self._evaluator.reference(condition),
            soluble=soluble,
            membrane=membrane,
            growth_cost=1.0 - growth_kept(self.space.settings, soluble + membrane),
            within_budget=self.space.affordable(construct),
        )

    def order(self, state: ExploreState) -> Order:
        """What a process needs to know of a state; a RedoxError where it does not fit."""
        self.require_fit(state)
        construct = self.construct(state)
        names = f", {NamedConstruct.of(self.space, construct)}" if state.enzymes else ""
        moved = ", moved bounds" if state.bounds else ""
        growth = self.numbers(state).outcome.growth
        title = f"{state.condition.replace('_', ' ')}{names}{moved}, growth {growth:.4f} 1/h"
        return Order(self.task, self.space, self.own_condition(state), construct, title)
