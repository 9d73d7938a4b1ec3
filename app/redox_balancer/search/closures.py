"""Smallest sets of steps that break cycles: a hitting set, by a mixed-integer linear program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from redox_balancer.cell.suspicion import Step
from redox_balancer.search.milp import MixedIntegerProgram, NoSolutionError

TIME_LIMIT_S = 60.0


def cheapest_closures(
    cycles: Iterable[frozenset[Step]], needed: Iterable[frozenset[Step]], prices: Mapping[Step, int]
) -> frozenset[Step] | None:
    """Return the cheapest set with a step of each cycle, and without one of the steps of each needed set.

    Parameters
    ----------
    cycles
        Sets of steps of which one must be closed.
    needed
        Sets of steps of which one must stay open.
    prices
        Price of each step that may be closed.

    Returns
    -------
    frozenset or None
        The proven optimum, or None where there is no such set.

    Raises
    ------
    NoSolutionError
        The solver did not prove it within `TIME_LIMIT_S`.
    """
    program = MixedIntegerProgram()
    columns: dict[Step, int] = {}
    for cycle in cycles:
        for step in sorted(cycle & prices.keys()):
            if step not in columns:
                columns[step] = program.add_binary()
                program.pay(columns[step], -prices[step])
        program.add_row([(columns[step], 1.0) for step in sorted(cycle & prices.keys())], lower=1.0)
        if not cycle & prices.keys():
            return None
    for steps in needed:
        if steps <= columns.keys():
            program.add_row([(columns[step], 1.0) for step in sorted(steps)], upper=len(steps) - 1.0)
    if not columns:
        return frozenset()
    try:
        optimum = program.maximise(time_limit_s=TIME_LIMIT_S)
    except NoSolutionError as error:
        if "nfeasible" in str(error):
            return None
        raise
    if not optimum.proven:
        raise NoSolutionError("the smallest set of steps was not proven in time", hint="curate a smaller model")
    return frozenset(step for step, column in columns.items() if optimum.columns[column] > 0.5)
