"""Thermodynamically infeasible cycles: reactions that carry flux while all exchanges are closed."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from redox_balancer.cell.consistency import (
    COMPUTED,
    ROUNDED,
    TimeLimitError,
    consistent_reactions,
    has_slack,
    one_way_parts,
)
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import ENZYME
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.rational import as_written, integer_network
from redox_balancer.cell.solution import Status

EXACT_LIMIT_S = 15.0
"""Time limit of an LP in rational arithmetic, s. Bases with computed coefficients can take minutes; such LPs are
solved in floating point, with a proof."""
LEAST_FLUX = 1e-9  # flux, mmol/gDW/h, from which a reaction then counts as running


def reactions_in_cycles(network: Network, *, time_limit_s: float = 60.0) -> tuple[str, ...]:
    """Find every reaction that can carry flux with all boundary reactions closed, in the network's order.

    Directions are taken from the bounds; forced fluxes are not enforced. A TimeLimitError after `time_limit_s`.
    """
    shut = network.with_bounds(dict.fromkeys(network.boundary, (0.0, 0.0)))
    return tuple(network.reactions[c] for c in consistent_reactions(shut, time_limit_s=time_limit_s).kept)


def closed_network(network: Network) -> Network:
    """Return a network with all exchanges, sinks and demands closed, and all reactions with a forced flux.

    A forced flux, such as maintenance, consumes energy, which a closed network cannot supply. Nor can it supply the
    enzymes of GECKO, see `without_enzymes`.
    """
    forced = itertools.compress(network.reactions, (network.lower > 0) | (network.upper < 0))
    return without_enzymes(network.with_bounds(dict.fromkeys((*network.boundary, *forced), (0.0, 0.0))))


def without_enzymes(network: Network) -> Network:
    """Return a network whose reactions use no enzymes in the form of metabolites (GECKO).

    Which reactions can run is a matter of the others. Their tiny coefficients would make exact answers take minutes.
    """
    kept = ~np.array([metabolite.startswith(ENZYME) for metabolite in network.metabolites])[network.indices]
    indptr = np.append(0, np.cumsum(kept))[network.indptr].astype(np.int32)
    used = np.diff(indptr) > 0  # the limits of the supply of enzymes have no meaning any more
    lower, upper = np.where(used, network.lower, 0.0), np.where(used, network.upper, 0.0)
    return replace(
        network, indptr=indptr, indices=network.indices[kept], data=network.data[kept], lower=lower, upper=upper
    )


def unblocked(network: Network, reactions: Sequence[str]) -> tuple[str, ...]:
    """Return the reactions that can carry a flux within the network's bounds.

    Where the bounds leave slack, directions alone decide (`consistent_reactions`). Elsewhere the sum of the fluxes
    that are not found yet, with random weights, is maximised and minimised in rational arithmetic: both optima are 0
    only if none of those reactions can carry flux (otherwise the weights would be orthogonal to an existing flux,
    which has a probability of 2**-40), and any other optimum finds at least one.
    Computed coefficients of irreversible reactions may be off by `ROUNDED`, as in `consistent_reactions`.

    The bounds of the candidates `reactions` must be finite; the result has their order, and is empty where the
    network is infeasible. A TimeLimitError if an LP reaches its time limit.
    """
    try:
        if has_slack(network, time_limit_s=EXACT_LIMIT_S):
            running = _that_can_run(network).reaction_index
            return tuple(reaction for reaction in reactions if reaction in running)
        return _unblocked(_with_rounded(network), reactions, exact=True)
    except TimeLimitError:
        return _unblocked(network, reactions, exact=False)


def _that_can_run(network: Network) -> Network:
    """The network of the reactions that can carry flux in their directions."""
    kept = consistent_reactions(network, time_limit_s=EXACT_LIMIT_S).kept
    return network.subset(network.reactions[column] for column in kept)


def _unblocked(network: Network, reactions: Sequence[str], *, exact: bool) -> tuple[str, ...]:
    left = {network.column(reaction): reaction for reaction in reactions}
    generator = np.random.default_rng(0)
    found: set[str] = set()
    with _program(network, exact=exact) as lp:
        while left:
            weights = generator.integers(2**39, 2**40, len(left)) * generator.choice([-1.0, 1.0], len(left))
            before = len(found)
            for sign in (1.0, -1.0) if exact else (2.0**-40, -(2.0**-40)):
                lp.set_objective_columns({column: sign * w for column, w in zip(left, weights.tolist(), strict=True)})
                status = (lp.maximise_exactly() if exact else lp.maximise()).status
                if status is Status.INFEASIBLE:
                    return ()
                if status is not Status.OPTIMAL:
                    raise TimeLimitError(f"the search for unblocked reactions of {network.id} ended: {status.value}")
                least = 0.0 if exact else LEAST_FLUX
                found |= {reaction for column, reaction in left.items() if abs(lp.flux(column)) > least}
            if len(found) == before:
                break
            left = {column: reaction for column, reaction in left.items() if reaction not in found}
    return tuple(reaction for reaction in reactions if reaction in found)


def _program(network: Network, *, exact: bool) -> FluxLP:
    return FluxLP(network, {}, time_limit_s=EXACT_LIMIT_S) if exact else FluxLP(network, {})


def _with_rounded(network: Network) -> Network:
    """The network of integers, with copies of irreversible reactions whose computed coefficients differ slightly."""
    exact, _ = integer_network(network)
    columns = network.column_of
    computed = np.array([as_written(value).denominator > COMPUTED for value in network.data.tolist()], dtype=np.bool_)
    computed &= ((network.lower >= 0) & (network.upper > 0))[columns]
    count, copies = np.bincount(columns[computed]), []
    for entry in np.flatnonzero(computed).tolist():
        reaction, metabolite = network.reactions[columns[entry]], network.metabolites[network.indices[entry]]
        amounts = exact.stoichiometry_of(reaction)
        change = max(1.0, abs(np.rint(amounts[metabolite] * ROUNDED * count[columns[entry]])))
        for by in (-change, change):
            other = amounts | {metabolite: amounts[metabolite] + by}
            copies.append(Column(f"{reaction} {entry} {by:+g}", other, 0.0, np.inf))
    return exact.with_columns(copies)


def cycle_through(network: Network, reaction: str) -> tuple[str, ...]:
    """Return the cycle with the smallest total flux through a reaction of a closed network, see `closed_network`.

    Its reactions, that one included, are in the network's order; there are none where it cannot carry flux. A
    TimeLimitError if the LP reaches its time limit.
    """
    try:
        network = _that_can_run(network)  # other reactions would cost hundreds of pivots in rational arithmetic
        if reaction not in network.reaction_index:
            return ()
        running = _least_cycle(integer_network(network)[0], network.column(reaction), exact=True)
    except TimeLimitError:
        running = _least_cycle(network, network.column(reaction), exact=False)
    return tuple(network.reactions[column] for column in running)


def _least_cycle(network: Network, column: int, *, exact: bool) -> list[int]:
    split, reaction_of = one_way_parts(network)
    own = np.flatnonzero(reaction_of == column)
    upper = np.full(len(reaction_of), np.inf)
    for part in own:
        lower = np.zeros(len(reaction_of))
        lower[part] = 1.0
        upper[own] = np.where(own == part, 1.0, 0.0)
        with _program(replace(split, lower=lower, upper=upper), exact=exact) as lp:
            lp.set_objective_columns(dict.fromkeys(range(len(reaction_of)), -1.0))
            status = (lp.maximise_exactly() if exact else lp.maximise()).status
            if status is Status.TIME_LIMIT:
                through = network.reactions[column]
                raise TimeLimitError(f"the search for the cycle through {through} in {network.id} took too long")
            if status is Status.OPTIMAL:
                return sorted(set(reaction_of[lp.fluxes() > (0.0 if exact else LEAST_FLUX)].tolist()))
    return []
