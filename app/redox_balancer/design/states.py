"""States of the cell drawn from the box of all limits, for training and for evaluation on states never trained on."""

import itertools
from collections.abc import Sequence

import numpy as np

from redox_balancer.cell.conditions import HEALTHY, JOIN, Change, Condition, Side
from redox_balancer.design.space import DesignSpace

CHANGED = 0.25  # probability that a state changes a bound, each independently of the others (assumed)


class Box:
    """Every bound that the conditions of a design space change, each within its range, in each of the cell lines.

    A state changes each bound with the probability `CHANGED`, to a value drawn uniformly from its range. But
    for the cell in which nothing is changed, no state is a named condition or a combination of them.
    """

    def __init__(self, space: DesignSpace) -> None:
        plain = Condition(id=HEALTHY, description="the cell on its medium")
        self._lines: list[tuple[Condition, list[tuple[tuple[str, Side, bool], Change]]]] = []
        for line in space.references or (plain,):
            own = {(*change.key, change.opens, change.value) for change in line.changes}
            changes = {
                (*change.key, change.opens): change
                for condition in space.conditions
                if condition.reference == line.reference
                for change in condition.changes
                if (*change.key, change.opens, change.value) not in own
            }
            keyed = [((*change.key, change.opens), change) for change in changes.values()]
            self._lines.append((line, keyed))

    def draw(self, generator: np.random.Generator, name: str = "state") -> Condition:
        """Draw a state; its id is `name`, in a cell line `line+name`."""
        line, changes = self._lines[int(generator.integers(len(self._lines)))]
        drawn = generator.random(len(changes)) < CHANGED
        joint = {(*change.key, change.opens): change for change in line.changes}
        for key, change in itertools.compress(changes, drawn.tolist()):
            limit = change.model_copy(update={"value": float(generator.uniform(change.low, change.high))})
            joint[key] = limit.joined(joint[key]) if key in joint else limit
        own = name if line.reference == HEALTHY else JOIN.join((line.id, name))
        return line.model_copy(update={"id": own, "changes": tuple(joint.values())})


def held_out_states(space: DesignSpace, count: int, seed: int) -> Sequence[Condition]:
    """States of the box, `state 1` to `state N`, by a seed: independent of those of any training."""
    box, generator = Box(space), np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7,)))
    return [box.draw(generator, f"state {number}") for number in range(1, count + 1)]
