"""Flux consistency: which reactions of a network can carry flux in steady state.

Reaction j is consistent if some v with S v = 0 that respects the direction of every reaction has v_j != 0. Only
directions matter, not the size of bounds: flux vectors form a cone, so any such v can be scaled into bounds that
contain zero. Where bounds force a flux, see `has_slack`.

There are three steps, each exact. The first two are shared with FASTCC (Vlassis, Pacheco & Sauter 2014, PLoS Comput
Biol 10:e1003424), the third is that of SWIFTCC (Tefagh & Boyd 2020, BMC Bioinformatics 21:140):

1. A metabolite without a producer or without a consumer blocks its reactions; repeated until nothing changes.
2. One LP decides all irreversible reactions together: maximise sum z, 0 <= z <= 1, z <= v. In a cone the optimum has
   z_j = 1 for every reaction that can carry flux and 0 for the others, and its v = w uses all of them simultaneously.
3. Without the blocked irreversible reactions, w + eps n is in the cone for every n with S n = 0 and some eps > 0. A
   reversible reaction is therefore blocked if and only if it is zero in the whole null space of S; the projection of
   one random vector on the null space shows which are.

The sum of both vectors is a witness, one flux vector with flux in every reaction that is kept, and is verified. The
resolution is that of the solver: a reaction that carries flux only while another carries over 1e7 times as much may
count as blocked; with 1000 mmol/gDW/h elsewhere this is a flux below 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

BoolArray = NDArray[np.bool_]
ColumnArray = NDArray[np.intp]

SOLVE_LIMIT_S = 1800.0
"""Time limit of a single LP, s; the joint LP of Recon3D takes about 3 s on one core."""

_SUSPECT = 1e-6
"""Entries of the projected random vector below this are tested individually; on Recon3D blocked ones are below 1e-13
and all others above 1e-4."""

_ZERO_ROW = 1e-9
"""A unit vector with a projection on the null space below this is a linear combination of rows of S."""

_IMBALANCE = 1e-2
"""Largest imbalance of a metabolite in the witness, relative to the smallest of its terms. Round-off alone gives
1.5e-6 on Recon3D and 1.4e-4 on iYS1720, whose coefficients span nine orders of magnitude; a reaction with flux only
within the tolerance of the solver causes an imbalance as large as its own term."""


@dataclass(frozen=True)
class Consistency:
    """The reactions that can carry flux.

    Attributes
    ----------
    kept
        Their columns, ascending.
    witness
        One flux vector of the whole network, shape (reactions,), in arbitrary units: S v = 0, all directions
        respected, non-zero in every kept reaction and zero in all others.
    closed, dead_ends, blocked_one_way, blocked_reversible
        Number of reactions dropped because both bounds are 0, next to a dead end, by the LP (irreversible), and by
        the null space (reversible).
    """

    kept: ColumnArray
    witness: FloatArray
    closed: int
    dead_ends: int
    blocked_one_way: int
    blocked_reversible: int


def consistent_reactions(network: Network, progress: Progress = no_progress) -> Consistency:
    """Find every reaction that can carry flux in steady state.

    Parameters
    ----------
    network
        Its bounds give the directions; their size does not matter.
    progress
        Receives the name of each phase as it starts.

    Raises
    ------
    RedoxError
        The solver failed or the witness is not balanced: the network is too badly scaled.
    """
    progress("dead ends")
    S = stoichiometric_matrix(network)
    is_open = (network.lower < 0) | (network.upper > 0)
    columns = np.flatnonzero(_without_dead_ends(S, network.lower, network.upper, is_open))
    connected = len(columns)
    # Backward-only reactions are reversed, so that every irreversible reaction runs forward.
    sign = np.where(network.upper[columns] <= 0, -1.0, 1.0)
    reversible = (network.lower[columns] < 0) & (network.upper[columns] > 0)
    A = (S[:, columns] @ sp.diags_array(sign)).tocsc()

    progress("irreversible reactions: joint LP")
    flux, runs = _run_one_way(network.id, A, reversible)
    blocked_one_way = int(np.sum(~runs))

    progress("reversible reactions: null space")
    lower = np.where(reversible, -1.0, 0.0)
    remaining = np.flatnonzero(_without_dead_ends(A, lower, np.ones(len(columns)), runs))
    B = A[:, remaining]
    kept, flux = _run_reversible(B, flux[remaining], reversible[remaining])
    B, remaining = B[:, kept], remaining[kept]
    _check_witness(network.id, B, flux, reversible[remaining])

    witness = np.zeros(len(network.reactions))
    witness[columns[remaining]] = sign[remaining] * flux
    return Consistency(
        kept=columns[remaining],
        witness=witness,
        closed=int(np.sum(~is_open)),
        dead_ends=int(np.sum(is_open)) - connected,
        blocked_one_way=blocked_one_way,
        blocked_reversible=connected - blocked_one_way - len(remaining),
    )


def has_slack(network: Network) -> bool:
    """Return whether directions alone decide which reactions can carry flux within the bounds.

    True if zero lies within all bounds. Where a bound forces a flux, true if the network still has a steady state
    after every bound that is neither zero nor infinite is tightened by one part in a million: from there a small step
    in any direction of the cone stays within the bounds. One fixed flux is allowed, as the step can be scaled to it.
    """
    lower, upper = network.lower, network.upper
    if np.all((lower <= 0) & (upper >= 0)):
        return True
    fixed = (lower == upper) & (lower != 0)
    step = 1e-6
    inner = replace(
        network,
        lower=np.where(fixed | np.isinf(lower), lower, lower + step * np.abs(lower)),
        upper=np.where(fixed | np.isinf(upper), upper, upper - step * np.abs(upper)),
    )
    if np.sum(fixed) > 1 or np.any(inner.lower > inner.upper):
        return False
    with FluxLP(inner, {}, time_limit_s=SOLVE_LIMIT_S) as lp:
        lp.crash_basis()
        return lp.maximise().optimal


def stoichiometric_matrix(network: Network) -> Any:
    """Return S as a SciPy sparse array, shape (metabolites, reactions), without explicit zeros."""
    shape = (len(network.metabolites), len(network.reactions))
    S = sp.csc_array((network.data, network.indices, network.indptr), shape=shape, copy=True)
    S.sum_duplicates()
    S.eliminate_zeros()
    return S


def matrix_network(name: str, S: Any, lower: FloatArray, upper: FloatArray) -> Network:
    """Return a network with stoichiometric matrix S and column numbers as ids, for `FluxLP`."""
    S = S.tocsc()
    return Network(
        id=name,
        reactions=tuple(str(column) for column in range(S.shape[1])),
        metabolites=tuple(str(row) for row in range(S.shape[0])),
        indptr=S.indptr.astype(np.int32),
        indices=S.indices.astype(np.int32),
        data=S.data.astype(np.float64),
        lower=lower,
        upper=upper,
        objective="",
    )


def _without_dead_ends(S: Any, lower: FloatArray, upper: FloatArray, alive: BoolArray) -> BoolArray:
    """Reactions that remain without the metabolites that lack a producer or a consumer or have a single reaction."""
    made, used = (S > 0).astype(np.int64), (S < 0).astype(np.int64)
    touched = made + used
    while True:
        forward = (alive & (upper > 0)).astype(np.int64)
        backward = (alive & (lower < 0)).astype(np.int64)
        dead = made @ forward + used @ backward == 0
        dead |= used @ forward + made @ backward == 0
        dead |= touched @ alive.astype(np.int64) == 1
        stopped = alive & (touched.T @ dead.astype(np.int64) > 0)
        if not stopped.any():
            return alive
        alive = alive & ~stopped


def _run_one_way(name: str, A: Any, reversible: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Find a flux in every irreversible reaction that can carry one, and the reactions that are not shown blocked.

    min(v, 1) is modelled by a copy of the column: v = z + y with 0 <= z <= 1 and y >= 0.
    """
    size = A.shape[1]
    one_way = np.flatnonzero(~reversible)
    network = matrix_network(
        name,
        sp.hstack([A, A[:, one_way]], format="csc"),
        np.concatenate([np.where(reversible, -np.inf, 0.0), np.zeros(len(one_way))]),
        np.concatenate([np.full(size, np.inf), np.ones(len(one_way))]),
    )
    flux = np.zeros(size)
    idle = np.arange(len(one_way))
    with FluxLP(network, {}, time_limit_s=SOLVE_LIMIT_S) as lp:
        lp.crash_basis()
        # The first optimum uses all that can carry flux; the loop ends with the optimum 0, so the rest is blocked.
        while idle.size:
            lp.set_objective_columns(dict.fromkeys((size + idle).tolist(), 1.0))
            solution = lp.maximise()
            values = lp.fluxes()
            running = values[size + idle] > 0.5
            if not solution.optimal or (not running.any() and solution.objective > _SUSPECT):
                raise _badly_scaled(name, f"the joint LP ended {solution.status.value} at {solution.objective:g}")
            if not running.any():
                break
            flux += values[:size]
            flux[one_way] += values[size:]
            idle = idle[~running]
    runs = np.ones(size, dtype=np.bool_)
    runs[one_way[idle]] = False
    return flux, runs


def _run_reversible(B: Any, flux: FloatArray, reversible: BoolArray) -> tuple[ColumnArray, FloatArray]:
    """Find the columns that are not zero in the whole null space, and a flux that is non-zero in each of them.

    `flux` is at least 1/2 in every irreversible reaction, so adding less than 1/2 of a null vector with largest entry
    1 preserves all directions.
    """
    if not B.shape[1]:
        return np.arange(0), flux
    project = _projection(B)
    rng = np.random.default_rng(0)
    direction = project(rng.standard_normal(B.shape[1]))
    blocked = np.zeros(B.shape[1], dtype=np.bool_)
    for column in np.flatnonzero(reversible & (np.abs(direction) < _SUSPECT)):
        unit = np.zeros(B.shape[1])
        unit[column] = 1.0
        own = project(unit)
        blocked[column] = np.abs(own).max() < _ZERO_ROW
        if not blocked[column]:
            direction += own / np.abs(own).max()
    kept = np.flatnonzero(~blocked)
    largest = np.abs(direction).max(initial=0.0)
    if largest > 0:
        # With a random factor no reversible flux cancels by coincidence.
        flux = flux + rng.uniform(0.2, 0.4) * direction / largest
    # The simplex leaves an imbalance of about 1e-11; projecting once more removes it.
    return kept, project(flux)[kept]


def _projection(B: Any) -> Callable[[FloatArray], FloatArray]:
    """Orthogonal projection on the null space of B, by one sparse factorisation.

    Linearly dependent rows make [I, B'; B, 0] singular. With -eps I in the corner it is regular, and solving again
    for the result (iterated Tikhonov regularisation) removes the error due to eps.
    """
    scale = 1.0 / np.sqrt(np.maximum((B * B).sum(axis=1), np.finfo(np.float64).tiny))
    scaled = (sp.diags_array(scale) @ B).tocsc()
    rows, columns = scaled.shape
    system = sp.block_array([[sp.eye_array(columns), scaled.T], [scaled, -1e-9 * sp.eye_array(rows)]], format="csc")
    factors = splu(system, diag_pivot_thresh=0.1)

    def project(vector: FloatArray) -> FloatArray:
        for _ in range(4):
            vector = factors.solve(np.concatenate([vector, np.zeros(rows)]))[:columns]
        return vector

    return project


def _check_witness(name: str, B: Any, flux: FloatArray, reversible: BoolArray) -> None:
    """Verify that the witness is balanced, respects all directions and is nowhere zero."""
    if not flux.size:
        return
    terms = abs(B @ sp.diags_array(flux)).tocsr()
    touched = np.diff(terms.indptr) > 0
    smallest = np.minimum.reduceat(terms.data, terms.indptr[:-1][touched])
    imbalance = np.abs(B @ flux)[touched]
    if np.any(flux[~reversible] <= 0) or np.any(imbalance > _IMBALANCE * smallest):
        raise _badly_scaled(name, "the flux through all kept reactions is not balanced")


def _badly_scaled(name: str, what: str) -> RedoxError:
    return RedoxError(
        f"model {name}: {what}",
        hint="check the model for coefficients that differ by more than nine orders of magnitude",
    )
