"""Which reactions of a small network can run and which growth needs, decided in rational arithmetic for each one."""

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from judge import ExactProgram, judge
from redox_balancer.cell.consistency import consistent_reactions
from redox_balancer.cell.core import ESSENTIAL_FRACTION, essential_reactions
from redox_balancer.cell.cycles import reactions_in_cycles, unblocked
from redox_balancer.cell.network import Network


class Difference(NamedTuple):
    """What was said of a network and is not so: reactions that the answer should not name, and those it should."""

    question: str
    wrongly_found: tuple[str, ...]
    missed: tuple[str, ...]


def differences(network: Network) -> list[Difference]:
    """Compare all that is said of reactions with this judge."""
    closed = network.with_bounds(dict.fromkeys(network.boundary, (0.0, 0.0)))
    kept = consistent_reactions(network).kept
    questions = [
        ("can run", {network.reactions[column] for column in kept}, can_run(network)),
        ("in cycles", set(reactions_in_cycles(network)), can_run(closed)),
    ]
    finite = replace(network, lower=np.maximum(network.lower, -1e6), upper=np.minimum(network.upper, 1e6))
    if np.all(finite.lower <= finite.upper):
        questions.append(("within bounds", set(unblocked(finite, finite.reactions)), can_run_within(finite)))
    growth = judge(network).objective
    if 1e-6 < growth < 1e12:
        floor = Fraction(repr(ESSENTIAL_FRACTION)) * Fraction(growth)
        needed = {reaction for reaction, left in growth_without(network).items() if left < floor}
        questions.append(("essential", set(essential_reactions(network, float(growth))), needed))
    return [
        Difference(question, tuple(sorted(found - right)), tuple(sorted(right - found)))
        for question, found, right in questions
        if found != right
    ]


def can_run(network: Network) -> set[str]:
    """Reactions that can carry flux in their directions, whatever the size of the bounds."""
    return can_run_within(
        replace(network, lower=np.where(network.lower < 0, -1.0, 0.0), upper=np.where(network.upper > 0, 1.0, 0.0))
    )


def can_run_within(network: Network) -> set[str]:
    """Reactions that can carry flux within finite bounds; none if the network is infeasible."""
    program, running = ExactProgram(network), set[int]()
    for column in range(len(network.reactions)):
        for sign in (1.0, -1.0):
            if column not in running:
                fluxes = program.maximise({column: sign}).fluxes
                running |= {place for place, flux in enumerate(fluxes) if flux}
    return {network.reactions[column] for column in running}


def growth_without(network: Network) -> dict[str, Fraction]:
    """Largest growth after the deletion of each reaction, 0 where the network is infeasible without it."""
    growth = {}
    for column, reaction in enumerate(network.reactions):
        program = ExactProgram(network)
        program.lower[column] = program.upper[column] = Fraction(0)
        verdict = program.maximise()
        growth[reaction] = Fraction(verdict.objective) if verdict.fluxes else Fraction(0)
    return growth
