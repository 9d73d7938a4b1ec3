"""Flux consistency: which reactions of a network can carry flux in steady state.

Reaction j is consistent if some v with S v = 0 that respects the direction of every reaction has v_j != 0. Only
directions matter, not the size of bounds: flux vectors form a cone, so any such v can be scaled into bounds that
contain zero. Where bounds force a flux, see `has_slack`.

There are three steps. The first two are shared with FASTCC (Vlassis, Pacheco & Sauter 2014, PLoS Comput Biol
10:e1003424), the third is that of SWIFTCC (Tefagh & Boyd 2020, BMC Bioinformatics 21:140):

1. A metabolite without a producer or without a consumer blocks its reactions; repeated until nothing changes.
2. One LP decides all irreversible reactions together: maximise sum z, 0 <= z <= 1, z <= v. In a cone the optimum has
   z_j = 1 for every reaction that can carry flux and 0 for the others, and its v = w uses all of them simultaneously.
3. Without the blocked irreversible reactions, w + eps n is in the cone for every n with S n = 0 and some eps > 0. A
   reversible reaction is therefore blocked if and only if it is zero in the whole null space of S, that is in one
   random vector of it.

All of this is rational arithmetic, on coefficients as they are written (`rational.py`): no tolerance decides, and
coefficients may differ by any factor. Those of an irreversible reaction that have more than nine decimals may be off
by `ROUNDED`. The simplex in floating point merely finds the basis that is verified.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.rational import as_written, integer_network, null_vector
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

BoolArray = NDArray[np.bool_]
ColumnArray = NDArray[np.intp]

SOLVE_LIMIT_S = 1800.0  # time limit of a single LP, s; the joint LP of Recon3D takes about 3 s on one core

COMPUTED = 10**9
"""A coefficient with a larger denominator was computed in floating point, such as a share in an average."""
ROUNDED = 1e-10
"""Relative error of such a coefficient: shares of lipids in a published model add up to 1 only within 1e-12."""


class TimeLimitError(RedoxError):
    """The solver reached its time limit before it could decide."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="try a smaller model, such as a core extracted from this one")


@dataclass(frozen=True)
class Consistency:
    """The columns of the reactions that can carry flux, ascending, and how many were dropped why.

    Dropped are reactions whose bounds are both 0, next to a dead end, by the LP (irreversible), and by the null space
    (reversible).
    """

    kept: ColumnArray
    closed: int
    dead_ends: int
    blocked_one_way: int
    blocked_reversible: int


def consistent_reactions(
    network: Network, progress: Progress = no_progress, *, time_limit_s: float = SOLVE_LIMIT_S
) -> Consistency:
    """Find every reaction that can carry flux in steady state, in the directions that the bounds allow.

    A TimeLimitError if the LP takes longer than `time_limit_s`.
    """
    progress("dead ends")
    S = stoichiometric_matrix(integer_network(network)[0])
    is_open = (network.lower < 0) | (network.upper > 0)
    columns = np.flatnonzero(_without_dead_ends(S, network.lower, network.upper, is_open))
    connected = len(columns)
    # Backward-only reactions are reversed, so that every irreversible reaction runs forward.
    sign = np.where(network.upper[columns] <= 0, -1.0, 1.0)
    reversible = (network.lower[columns] < 0) & (network.upper[columns] > 0)
    A = (S[:, columns] @ sp.diags_array(sign)).tocsc()
    computed = matrix_of(network, [as_written(x).denominator > COMPUTED for x in network.data.tolist()])[:, columns]
    variants, variant_of = _variants(A, computed, ~reversible)
    A = sp.hstack([A, variants], format="csc")
    reversible = np.append(reversible, np.zeros(len(variant_of), dtype=np.bool_))

    progress("irreversible reactions: joint LP")
    runs = np.flatnonzero(_running(network.id, A, reversible, time_limit_s))
    reaction_of = np.append(np.arange(connected), variant_of)
    blocked_one_way = connected - len(np.unique(reaction_of[runs]))

    progress("reversible reactions: null space")
    moving = np.array(null_vector(A[:, runs], np.random.default_rng(0)), dtype=np.bool_)
    runs = np.unique(reaction_of[runs[moving]])
    closed, dead_ends = int(np.sum(~is_open)), int(np.sum(is_open)) - connected
    blocked_reversible = connected - blocked_one_way - len(runs)
    return Consistency(columns[runs], closed, dead_ends, blocked_one_way, blocked_reversible)


def has_slack(network: Network, *, time_limit_s: float = SOLVE_LIMIT_S) -> bool:
    """Return whether directions alone decide which reactions can carry flux within the bounds.

    True if zero lies within all bounds. Where a bound forces a flux, true if the network still has a steady state
    after every bound that is neither zero nor infinite is tightened by one part in a million: from there a small step
    in any direction of the cone stays within the bounds. One fixed flux is allowed, as the step can be scaled to it.
    False if that takes more than `time_limit_s`.
    """
    lower, upper = network.lower, network.upper
    if np.all((lower <= 0) & (upper >= 0)):
        return True
    fixed = (lower == upper) & (lower != 0)
    scaled, _ = integer_network(network)
    step = 2.0**-20
    inner = replace(
        scaled,
        lower=np.where(fixed | np.isinf(lower), scaled.lower, scaled.lower + step * np.abs(scaled.lower)) / step,
        upper=np.where(fixed | np.isinf(upper), scaled.upper, scaled.upper - step * np.abs(scaled.upper)) / step,
    )
    if np.sum(fixed) > 1 or np.any(inner.lower > inner.upper):
        return False
    with FluxLP(inner, {}, time_limit_s=time_limit_s) as lp:
        lp.crash_basis()
        return lp.maximise_exactly().optimal


def stoichiometric_matrix(network: Network) -> Any:
    """Return S as a SciPy sparse array, shape (metabolites, reactions), without explicit zeros."""
    S = matrix_of(network, network.data)
    S.sum_duplicates()
    S.eliminate_zeros()
    return S


def matrix_of(network: Network, data: Any) -> Any:
    """Return the matrix with these values in the place of the coefficients."""
    shape = (len(network.metabolites), len(network.reactions))
    return sp.csc_array((np.array(data, dtype=np.float64), network.indices, network.indptr), shape=shape, copy=True)


def matrix_network(name: str, S: Any, lower: FloatArray, upper: FloatArray) -> Network:
    """Return a network with stoichiometric matrix S and column numbers as ids, for `FluxLP`."""
    S = S.tocsc()
    metabolites, reactions = (tuple(map(str, range(size))) for size in S.shape)
    matrix = S.indptr.astype(np.int32), S.indices.astype(np.int32), S.data.astype(np.float64)
    return Network(name, reactions, metabolites, *matrix, lower, upper, objective="")


def one_way_parts(network: Network) -> tuple[Network, ColumnArray]:
    """Split each reaction into the directions that its bounds allow, with bounds of at least 0.

    Returns the network of all forward and then all backward parts, and the column of the reaction of each.
    """
    S = stoichiometric_matrix(network)
    forward, backward = np.flatnonzero(network.upper > 0), np.flatnonzero(network.lower < 0)
    parts = matrix_network(
        network.id,
        sp.hstack([S[:, forward], -S[:, backward]], format="csc"),
        np.concatenate([np.maximum(network.lower[forward], 0), np.maximum(-network.upper[backward], 0)]),
        np.concatenate([network.upper[forward], -network.lower[backward]]),
    )
    return parts, np.concatenate([forward, backward])


def _without_dead_ends(S: Any, lower: FloatArray, upper: FloatArray, alive: BoolArray) -> BoolArray:
    """Reactions that remain without the metabolites that lack a producer or a consumer or have a single reaction."""
    made, used = (S > 0).astype(np.int64), (S < 0).astype(np.int64)
    touched = made + used
    while True:
        forward, backward = ((alive & way).astype(np.int64) for way in (upper > 0, lower < 0))
        dead = made @ forward + used @ backward == 0
        dead |= used @ forward + made @ backward == 0
        dead |= touched @ alive.astype(np.int64) == 1
        stopped = alive & (touched.T @ dead.astype(np.int64) > 0)
        if not stopped.any():
            return alive
        alive = alive & ~stopped


def _variants(A: Any, computed: Any, one_way: BoolArray) -> tuple[Any, ColumnArray]:
    """Copies of irreversible reactions, with one computed coefficient a little larger or smaller, and their columns.

    Together they are the reaction with any coefficients close to those of the file. Of a reversible reaction, a copy
    and the opposite of another would make a metabolite from nothing.
    """
    marked = computed.tocoo()
    chosen = one_way[marked.col] & (marked.data != 0)
    row, column = np.repeat(marked.row[chosen], 2), np.repeat(marked.col[chosen], 2)
    variants = A[:, column].tolil()
    factor = 1.0 + ROUNDED * np.resize([1.0, -1.0], len(row)) * np.bincount(column, minlength=1)[column] / 2
    for place, (at, by) in enumerate(zip(row.tolist(), factor.tolist(), strict=True)):
        variants[at, place] = np.rint(variants[at, place] * by)
    return variants.tocsc(), column.astype(np.intp)


def _running(name: str, A: Any, reversible: BoolArray, time_limit_s: float) -> BoolArray:
    """Return which reactions are reversible, or can carry flux with all irreversible ones that can.

    min(v, 1) is modelled by a copy of the column: v = z + y with 0 <= z <= 1 and y >= 0.
    """
    size = A.shape[1]
    one_way = np.flatnonzero(~reversible)
    if not one_way.size:
        return reversible
    network = matrix_network(
        name,
        sp.hstack([A, A[:, one_way]], format="csc"),
        np.concatenate([np.where(reversible, -np.inf, 0.0), np.zeros(len(one_way))]),
        np.concatenate([np.full(size, np.inf), np.ones(len(one_way))]),
    )
    with FluxLP(network, {}, time_limit_s=time_limit_s) as lp:
        lp.crash_basis()
        lp.set_objective_columns(dict.fromkeys(range(size, len(network.reactions)), 1.0))
        if not lp.maximise_exactly().optimal:  # the problem is feasible and bounded
            raise TimeLimitError(f"finding the reactions of {name} that carry flux took more than {time_limit_s:g} s")
        values = lp.fluxes()
    running = reversible.copy()
    running[one_way] = values[one_way] + values[size:] > 0
    return running
