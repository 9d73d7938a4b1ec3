"""Networks of a few reactions."""

from __future__ import annotations

import numpy as np

from redox_balancer.cell.network import Column, Network


def small_network(*columns: Column, objective: str = "") -> Network:
    """Network of these reactions and their metabolites."""
    empty = Network(
        id="toy",
        reactions=(),
        metabolites=(),
        indptr=np.zeros(1, dtype=np.int32),
        indices=np.zeros(0, dtype=np.int32),
        data=np.zeros(0),
        lower=np.zeros(0),
        upper=np.zeros(0),
        objective=objective,
    )
    metabolites = dict.fromkeys(m for column in columns for m in column.stoichiometry)
    return empty.with_columns(columns, new_metabolites=metabolites)
