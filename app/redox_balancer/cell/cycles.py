"""Thermodynamically infeasible cycles: reactions that carry flux while all exchanges are closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse as sp

from redox_balancer.cell.consistency import matrix_network, stoichiometric_matrix
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Network
from redox_balancer.cell.solution import Status
from redox_balancer.errors import RedoxError

FLUX_TOLERANCE = 1e-6
"""Smallest flux that counts, where bounds are -1 and 1."""


def reactions_in_cycles(
    network: Network, *, closed: Iterable[str] = (), seed: int = 0, time_limit_s: float = 60.0
) -> tuple[str, ...]:
    """Find every reaction that can carry flux with all boundary reactions closed.

    All other reactions get the bounds (-1, 1), one-sided where the direction is fixed, so that 0 is feasible. The sum
    of the fluxes that are not found yet, with random weights, is maximised and minimised: both optima are 0 only if
    none of those reactions can carry flux (otherwise the weights would be orthogonal to an existing flux, which has
    probability 0), and any other optimum finds at least one. A dozen LPs replace two for each reaction.

    Parameters
    ----------
    network
        Directions are taken from its bounds; forced fluxes are not enforced.
    closed
        Additional reactions to close, such as a demand with several metabolites.
    seed
        Seed of the weights; the result does not depend on it.
    time_limit_s
        Time limit of a single LP, s.

    Returns
    -------
    tuple of str
        The reactions, in the network's order.

    Raises
    ------
    RedoxError
        An LP reached the time limit.
    """
    shut = {network.column(reaction) for reaction in (*network.boundary, *closed)}
    runs = np.array([column not in shut for column in range(len(network.reactions))])
    lower = np.where(runs & (network.lower < 0), -1.0, 0.0)
    upper = np.where(runs & (network.upper > 0), 1.0, 0.0)
    bounds = {r: (float(lower[i]), float(upper[i])) for i, r in enumerate(network.reactions)}
    left = (lower < upper).copy()
    generator = np.random.default_rng(seed)
    with FluxLP(network.with_bounds(bounds), {}, time_limit_s=time_limit_s) as lp:
        while left.any():
            weights = generator.uniform(0.5, 1.0, len(left)) * generator.choice([-1.0, 1.0], len(left))
            found = np.zeros_like(left)
            for sign in (1.0, -1.0):
                lp.set_objective_columns({int(c): sign * float(weights[c]) for c in np.flatnonzero(left & ~found)})
                if lp.maximise().status is Status.TIME_LIMIT:
                    raise RedoxError(
                        f"searching for cycles in {network.id}: one LP took more than {time_limit_s:g} s",
                        hint="try a smaller model, such as a core extracted from this one",
                    )
                found |= left & (np.abs(lp.fluxes()) > FLUX_TOLERANCE)
            if not found.any():
                break
            left &= ~found
    in_cycle = (lower < upper) & ~left
    return tuple(reaction for reaction, found in zip(network.reactions, in_cycle, strict=True) if found)


def closed_network(network: Network) -> Network:
    """Return a network with all exchanges, sinks and demands closed, and all reactions with a forced flux.

    A forced flux, such as maintenance, consumes energy, which a closed network cannot supply.
    """
    forced = [
        r for r, low, high in zip(network.reactions, network.lower, network.upper, strict=True) if low > 0 or high < 0
    ]
    return network.with_bounds(dict.fromkeys((*network.boundary, *forced), (0.0, 0.0)))


def unblocked(network: Network, reactions: Sequence[str], tolerance: float) -> tuple[str, ...]:
    """Return the reactions that can carry a flux within the network's bounds.

    As in `reactions_in_cycles`, random weights find all of them in a few LPs.

    Parameters
    ----------
    network
        Bounds in mmol/gDW/h.
    reactions
        Candidates; their bounds must be finite.
    tolerance
        Smallest flux that counts, mmol/gDW/h.

    Returns
    -------
    tuple of str
        Those that can carry flux, in the given order; empty where the network is infeasible.

    Raises
    ------
    RedoxError
        An LP did not end with an optimum.
    """
    left = {network.column(reaction): reaction for reaction in reactions}
    generator = np.random.default_rng(0)
    found: set[str] = set()
    with FluxLP(network, {}) as lp:
        while left:
            weights = generator.uniform(0.5, 1.0, len(left)) * generator.choice([-1.0, 1.0], len(left))
            before = len(found)
            for sign in (1.0, -1.0):
                lp.set_objective_columns({column: sign * w for column, w in zip(left, weights.tolist(), strict=True)})
                status = lp.maximise().status
                if status is Status.INFEASIBLE:
                    return ()
                if status is not Status.OPTIMAL:
                    raise RedoxError(
                        f"searching for unblocked reactions in {network.id} ended with: {status.value}",
                        hint="try a smaller model, such as a core extracted from this one",
                    )
                found |= {reaction for column, reaction in left.items() if abs(lp.flux(column)) > tolerance}
            if len(found) == before:
                break
            left = {column: reaction for column, reaction in left.items() if reaction not in found}
    return tuple(reaction for reaction in reactions if reaction in found)


def cycle_through(network: Network, reaction: str) -> tuple[str, ...]:
    """Return the cycle with the smallest total flux through a reaction of a closed network.

    Parameters
    ----------
    network
        A network without exchanges, see `closed_network`.
    reaction
        The reaction.

    Returns
    -------
    tuple of str
        Reactions of the cycle in the network's order, including `reaction`; empty where it cannot carry flux.
    """
    S = stoichiometric_matrix(network)
    forward, backward = np.flatnonzero(network.upper > 0), np.flatnonzero(network.lower < 0)
    reaction_of = np.concatenate([forward, backward])
    own = np.flatnonzero(reaction_of == network.column(reaction))
    upper = np.full(len(reaction_of), np.inf)
    for part in own:
        lower = np.zeros(len(reaction_of))
        lower[part] = 1.0
        upper[own] = np.where(own == part, 1.0, 0.0)
        split = matrix_network(network.id, sp.hstack([S[:, forward], -S[:, backward]], format="csc"), lower, upper)
        with FluxLP(split, {}) as lp:
            lp.set_objective_columns(dict.fromkeys(range(len(reaction_of)), -1.0))
            if lp.maximise().optimal:
                running = reaction_of[lp.fluxes() > FLUX_TOLERANCE]
                return tuple(network.reactions[column] for column in sorted(running))
    return ()
