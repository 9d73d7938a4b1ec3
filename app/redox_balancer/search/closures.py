"""Smallest sets of steps that break cycles: a hitting set, by a mixed-integer linear program."""

from collections.abc import Iterable, Mapping
from itertools import chain

from redox_balancer.cell.suspicion import DirectedStep
from redox_balancer.search.milp import MixedIntegerProgram, NoSolutionError

TIME_LIMIT_S = 60.0


def cheapest_closures(
    cycles: Iterable[frozenset[DirectedStep]],
    needed: Iterable[frozenset[DirectedStep]],
    prices: Mapping[DirectedStep, int],
) -> frozenset[DirectedStep] | None:
    """Return the cheapest set with a step of each cycle, and without one of the steps of each needed set.

    Only steps with a price may be in it. It is a proven optimum, None where there is no such set; a NoSolutionError
    where the solver did not prove it within `TIME_LIMIT_S`.
    """
    choices = [sorted(cycle & prices.keys()) for cycle in cycles]
    if not choices:
        return frozenset()
    if not all(choices):
        return None
    program = MixedIntegerProgram()
    columns = {step: program.add_binary() for step in sorted(set(chain.from_iterable(choices)))}
    for step, column in columns.items():
        program.pay(column, -prices[step])
    for choice in choices:
        program.add_row([(columns[step], 1.0) for step in choice], lower=1.0)
    for steps in needed:
        if steps <= columns.keys():
            program.add_row([(columns[step], 1.0) for step in sorted(steps)], upper=len(steps) - 1.0)
    try:
        optimum = program.maximise(time_limit_s=TIME_LIMIT_S)
    except NoSolutionError as error:
        if str(error).endswith("Infeasible"):
            return None
        raise
    if not optimum.proven:
        raise NoSolutionError(
            "the cheapest set of steps is not proven within the time limit", hint="keep fewer functions"
        )
    return frozenset(step for step, column in columns.items() if optimum.columns[column] > 0.5)
