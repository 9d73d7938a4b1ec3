"""The largest flux of inserted reactions with all exchanges closed."""

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from redox_balancer.cell.cycles import closed_network
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.design.construct import Construct
from redox_balancer.design.placement import H2O2_LEFT, H2O2_SPARE
from redox_balancer.design.space import DesignSpace


class FreeFlux(NamedTuple):
    """Constructs and solves tried, solves that did not end optimal, and the largest optimum, mmol/gDW/h."""

    constructs: int
    solves: int
    failures: int
    largest: float


def free_flux(space: DesignSpace, constructs: Iterable[Construct]) -> FreeFlux:
    """Maximise the inserted fluxes of each construct, and growth, with all exchanges closed.

    One-way insertions are maximised as a sum, which no single one of them exceeds, with growth in it; those that run
    both ways are maximised and minimised one by one. Each objective keeps a problem of its own, so that only bounds
    change between constructs. Over-expressed native reactions are limited by nothing.
    """
    network = closed_network(space.network)
    # The H2O2 bookkeeping reactions are no exchanges: they count the H2O2 of insertions.
    bookkeeping = {r: (0.0, OPEN) for r in (H2O2_LEFT, H2O2_SPARE) if r in network.reaction_index}
    network = network.with_bounds(bookkeeping)
    foreign = {i: network.column(p.reaction) for i, p in enumerate(space.placements) if p.foreign}
    both_ways = [column for i, column in foreign.items() if space.placements[i].site.reversible]
    one_way = {column: 1.0 for column in foreign.values() if column not in both_ways}
    objectives = [{**one_way, network.column(network.objective): 1.0}]
    objectives += [{column: sign} for column in both_ways for sign in (1.0, -1.0)]
    tried = solves = failures = 0
    largest = 0.0
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(FluxLP(network, {})) for _ in objectives]
        for program, objective in zip(programs, objectives, strict=True):
            program.set_objective_columns(objective)
        for construct in constructs:
            placed = dict(construct)
            for i, column in foreign.items():
                placement = space.placements[i]
                bounds = placement.bounds(placement.caps[placed[i]]) if i in placed else (0.0, 0.0)
                for program in programs:
                    program.set_bounds(column, *bounds)
            tried += 1
            for program in programs:
                solution = program.maximise()
                solves += 1
                failures += not solution.optimal
                largest = max(largest, solution.objective)
    return FreeFlux(tried, solves, failures, largest)
