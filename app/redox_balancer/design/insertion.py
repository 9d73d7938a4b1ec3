"""Insertion of foreign reactions into a network, with the bookkeeping of H2O2.

The bookkeeping metabolite counts H2O2 formed minus H2O2 removed by inserted reactions. The surplus drains through
`H2O2_LEFT`, which has a price in the value of a construct; removing more than was formed is free (`H2O2_SPARE`).
"""

from collections.abc import Sequence

from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import LEDGER, Column, Network
from redox_balancer.design.placement import Placement

H2O2_BALANCE = f"h2o2{LEDGER}"
"""Id of the bookkeeping metabolite."""
H2O2_LEFT = "H2O2_LEFT"
H2O2_SPARE = "H2O2_SPARE"


def with_insertions(network: Network, placements: Sequence[Placement]) -> Network:
    """Network with a closed column for each foreign placement and, where they involve H2O2, its bookkeeping."""
    columns: list[Column] = []
    bookkeeping = False
    for placement in placements:
        if not placement.foreign:
            continue
        stoichiometry = dict(placement.stoichiometry)
        formed = sum(c for metabolite, c in stoichiometry.items() if network.is_species(metabolite, "h2o2"))
        if formed:
            stoichiometry[H2O2_BALANCE] = formed
            bookkeeping = True
        columns.append(Column(placement.reaction, stoichiometry))
    if not bookkeeping:
        return network.with_columns(columns)
    columns += [
        Column(H2O2_LEFT, {H2O2_BALANCE: -1.0}, 0.0, OPEN),
        Column(H2O2_SPARE, {H2O2_BALANCE: 1.0}, 0.0, OPEN),
    ]
    return network.with_columns(columns, new_metabolites=[H2O2_BALANCE])
