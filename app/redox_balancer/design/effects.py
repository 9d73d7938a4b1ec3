"""Conditions that make no difference to a cell and to what an enzyme does in it."""

import math

from redox_balancer.cell.conditions import HEALTHY, Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator

SAME = 1e-6
"""Difference of growth or of a value that is round-off, relative to the healthy cell's."""


def without_effect(evaluator: Evaluator) -> tuple[str, ...]:
    """Name, in one line, the conditions that change nothing; nothing if each changes something.

    Compared with the unperturbed cell are growth without a construct, and the value of each enzyme alone at the
    highest level that the budget allows.
    """
    space, empty = evaluator.space, Construct.empty(len(evaluator.space.placements))
    singles = []
    for position in range(len(space.placements)):
        affordable = (empty.place(position, level) for level in range(len(space.levels)))
        singles += [one for one in affordable if space.affordable(one)][-1:]
    unperturbed = {HEALTHY: space.healthy} | {line.id: line for line in space.references}
    unit = evaluator.healthy_growth

    def changes(condition: Condition) -> bool:
        usual = unperturbed[condition.reference]
        growth, usual_growth = (evaluator.reference(one).growth for one in (condition, usual))
        return not math.isclose(growth, usual_growth, abs_tol=SAME * unit) or any(
            not math.isclose(*(evaluator.outcome(single, one).value for one in (condition, usual)), abs_tol=SAME)
            for single in singles
        )

    found = [one.id for one in space.conditions if one not in unperturbed.values() and not changes(one)]
    line = f"conditions that change neither growth nor the value of any enzyme alone: {', '.join(found)}"
    return (line,) if found else ()
