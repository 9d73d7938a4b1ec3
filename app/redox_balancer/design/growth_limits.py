"""The bounds that growth rests on, from the dual solution of the linear program of growth."""

from typing import Any

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.exchanges import extracellular_exchanges
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.measured_rates import biomass_divisions, nearest_division
from redox_balancer.cell.network import FloatArray, Network

LEAST_SHARE = 1e-3  # smallest share of growth that a bound accounts for and is reported

Limit = dict[str, Any]
"""A bound: `reaction`, `name` (BiGG), `bound` (uptake, upper or lower bound), `value` in mmol/gDW/h, `share`, and for
the uptake of a part of biomass `coefficient`, mmol/gDW, and `quotient`, the growth that it would allow alone, 1/h."""


def limits_of_growth(network: Network, growth: float, reduced_costs: FloatArray) -> list[Limit]:
    """Bounds that growth rests on, by the share of growth that they account for, the largest first.

    At an optimum, growth is the sum of each active bound times its reduced cost (strong duality, all balances being
    0). Shares add up to 1; a forced flux, such as maintenance, has a negative one. Where the dual solution is not
    unique it is that of one optimal basis.
    """
    supplies = {r.id: r.coefficient for exchange in extracellular_exchanges(network) for r in exchange.reactions}
    divisions = biomass_divisions(network)
    found = []
    for column in np.flatnonzero(reduced_costs):
        upper = reduced_costs[column] > 0
        reaction, value = network.reactions[column], float((network.upper if upper else network.lower)[column])
        if LEAST_SHARE <= abs(share := float(reduced_costs[column]) * value / growth) < np.inf:
            uptake = max(0.0, value * supplies.get(reaction, 0.0))
            bound = "uptake" if uptake else "upper bound" if upper else "lower bound"
            limit: Limit = {"reaction": reaction, "name": network.bigg_names.get(reaction, reaction), "bound": bound}
            limit |= {"value": uptake or value, "share": share}
            if uptake and reaction in divisions:
                limit |= {"coefficient": divisions[reaction].coefficient, "quotient": divisions[reaction].growth}
            found.append(limit)
    return sorted(found, key=lambda limit: -abs(limit["share"]))


def growth_of_line(network: Network, line: Condition, growth: float) -> str:
    """Growth of a cell line alone, 1/h, beside the uptake over biomass coefficient that it may be, in one line."""
    division = nearest_division(line.apply(network), growth)
    return f"{line.id} alone {growth:.5f} 1/h" + (f"; {division.says(growth)}" if division else "")


def reduced_costs(lp: FluxLP, network: Network) -> FloatArray:
    """Change of growth per unit of each flux that is at a bound other than 0, shape (reactions,); 0 elsewhere."""
    fluxes, costs = lp.fluxes(), np.zeros(len(network.reactions))
    bounds = network.lower, network.upper
    held = [(bound != 0) & np.isclose(fluxes, bound, rtol=1e-9, atol=1e-12) for bound in bounds]
    columns = np.flatnonzero(held[0] | held[1]).tolist()
    if columns and (known := lp.reduced_costs(columns)):
        costs[columns] = known.costs
    return costs


def limits_without_growth(lp: FluxLP, network: Network) -> list[Limit]:
    """What forced fluxes, such as maintenance, rest on after a solve that ended with no growth, or infeasible.

    Shares are those of what is forced, which sum to -1. What can be supplied sums to 1 where nothing is left for
    growth, and to less where the proof of infeasibility (Farkas 1902) shows that forced fluxes cannot be met.
    """
    costs = np.zeros(len(network.reactions))
    if proof := lp.farkas_certificate():
        costs[proof.columns] = proof.weights
    else:
        costs = reduced_costs(lp, network)
    weighted = costs != 0
    amounts = costs[weighted] * np.where(costs > 0, network.upper, network.lower)[weighted]
    forced = -float(amounts[amounts < 0].sum())
    return limits_of_growth(network, forced, costs) if forced > 0 else []
