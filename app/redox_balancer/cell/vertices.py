"""The vertex of a proven optimum as a function of the bounds that change, as precise as the proof."""

import math
from collections.abc import Sequence

import numpy as np

from redox_balancer.cell import certificates
from redox_balancer.cell.glpk import GlpkProblem
from redox_balancer.cell.network import Network
from redox_balancer.cell.refinement import REFINEMENTS, Proven
from redox_balancer.cell.solution import Tableau

NOISY = 16.0
"""Largest round-off of a reduced cost, in multiples of the largest of which the sign shows that it is round-off."""


def proven_tableau(network: Network, problem: GlpkProblem, proven: Proven, columns: Sequence[int]) -> Tableau | None:
    """Return a proven optimum as a function of the bounds of some columns.

    None where the present basis is that of another vertex, or either is known less precisely than `BALANCED`.
    """
    import scipy.sparse as sp  # noqa: PLC0415 - actors on a core that needs no proofs do without

    rows, fluxes, costs = len(network.metabolites), proven.fluxes, proven.reduced_costs
    if fluxes is None or costs is None:
        return None
    lower, upper, basis = problem.lower, problem.upper, problem.basis()
    in_column = basis >= rows
    basic = basis[in_column] - rows
    # A reduced cost is held by one bound. Those of fluxes that are not there show what is round-off.
    sizes, held_at = np.abs(costs), np.where(costs > 0, upper, lower)
    noise = NOISY * sizes[fluxes != held_at].max(initial=0.0)
    costs = np.where(sizes <= noise, 0.0, costs)
    v = np.where(costs == 0, fluxes, held_at)
    at_upper = np.where(costs == 0, v > lower, costs > 0)
    moves = (v == lower) | (v == upper)
    moves[basic], v[basic], resting = False, 0.0, np.append(v[columns], 1.0)
    v[columns] = np.where(moves[columns], 0.0, v[columns])
    constant = float(costs.dot(v))
    if noise > certificates.MARGIN * sizes.max() or costs[basic].any() or not math.isfinite(constant):
        return None
    vertex = np.zeros((len(v), len(columns) + 1))
    vertex[columns, np.arange(len(columns))], vertex[:, -1] = moves[columns], v
    matrix = sp.csc_array((network.data, network.indices, network.indptr), shape=(rows, len(v))).tocsr()
    sizes_of_terms, missing = abs(matrix), matrix @ vertex
    open_ = missing != 0.0
    for _ in range(REFINEMENTS):
        open_[basis[~in_column]] = False
        for place in open_.any(axis=0).nonzero()[0].tolist():
            vertex[basic, place] += problem.solve(missing[:, place], transposed=False)[in_column]
        vertex[np.abs(vertex) < certificates.MARGIN * np.abs(vertex).max(axis=0)] = 0.0
        missing = matrix @ vertex
        open_ = np.abs(missing) > certificates.BALANCED * (sizes_of_terms @ np.abs(vertex))
        if not open_.any():
            break
    missing[~open_] = 0.0
    if np.delete(open_, basis[~in_column], axis=0).any():
        return None
    values, terms = (of(vertex).dot(of(resting)) for of in (np.asarray, np.abs))
    if (np.maximum(values - upper, lower - values) > certificates.BALANCED * terms).any():
        return None
    return Tableau(costs[columns], at_upper[columns], np.vstack([vertex, missing]), constant)
