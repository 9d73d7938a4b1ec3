"""Bookkeeping metabolites, which limit a sum of fluxes by one bound.

The oxygen budget: every reaction that takes up O2, except cytochrome c oxidase, forms one unit of a ledger for each
O2, and the ledger leaves through one drain with an absolute bound. It is a row and a column like any other, so it is
written to model files, compressed and solved as they are. Reactions inserted later do not take part. Growth that
costs more ATP than a biomass reaction says draws on another ledger, which hydrolysis fills.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from redox_balancer.cell.network import LEDGER, Column, Network
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    import cobra

OXYGEN_LEDGER = f"oxygen{LEDGER}"
OXYGEN_BUDGET = "OXYGEN_BUDGET"  # id of the drain of the oxygen ledger, whose upper bound is the budget
ENERGY_LEDGER = f"growth_energy{LEDGER}"
GROWTH_ATP = "GROWTH_ATP"  # id of the hydrolysis of ATP that growth needs beyond that of the biomass reaction


def with_oxygen_budget(network: Network, budget: float) -> Network:
    """Return a network in which all but cytochrome c oxidase together take up at most `budget` O2, mmol/gDW/h.

    A network that has the ledger already keeps its entries and gets the new bound. A RedoxError if no reaction is
    recognised as cytochrome c oxidase, which would fall under the budget.
    """
    if OXYGEN_LEDGER not in network.metabolite_index:
        taken = oxygen_taken(network)
        if not taken:
            return network
        drain = Column(OXYGEN_BUDGET, {OXYGEN_LEDGER: -1.0})
        network = _with_row(network, OXYGEN_LEDGER, taken).with_columns([drain])
    return network.with_bounds({OXYGEN_BUDGET: (0.0, budget)})


def with_growth_energy(network: Network, atp: float, most: float) -> Network:
    """Return a network whose growth costs so much ATP, mmol/gDW, the ADP that its biomass reaction forms included.

    What that lacks is hydrolysed by a reaction of its own, `GROWTH_ATP`, which growth draws on. A biomass reaction
    without ADP, or that forms as much, is left as it is. `most` is a bound that does not limit, mmol/gDW/h. A network
    that has the ledger already gets the new cost.
    """
    growth = network.stoichiometry_of(network.objective)
    adp = next((m for m, value in growth.items() if value > 0 and network.is_species(m, "adp")), None)
    lacks = 0.0 if adp is None else atp - growth[adp]
    if ENERGY_LEDGER in growth:
        at = network.indptr[network.column(network.objective)] + list(growth).index(ENERGY_LEDGER)
        data = network.data.copy()
        data[at] = -max(lacks, 0.0)
        return replace(network, data=data)
    if adp is None or lacks <= 0:
        return network
    compartment = network.compartment_of(adp)
    hydrolysis = {"atp": -1.0, "h2o": -1.0, "adp": 1.0, "pi": 1.0, "h": 1.0}
    taken = {network.find_metabolite(f"{name}_{compartment}"): value for name, value in hydrolysis.items()}
    found = {metabolite: value for metabolite, value in taken.items() if metabolite is not None}
    if len(found) < len(hydrolysis):
        return network
    network = _with_row(network, ENERGY_LEDGER, {network.objective: -lacks})
    return network.with_columns([Column(GROWTH_ATP, found | {ENERGY_LEDGER: 1.0}, 0.0, most)])


def oxygen_taken(network: Network) -> dict[str, float]:
    """O2 that each reaction takes up per unit of forward flux, except cytochrome c oxidase, exchanges and transport.

    It is negative for a reaction that takes up O2 running backwards. Reactions that can only release O2 are left out:
    what one reaction takes up is not made good by another.
    """
    oxygen = [row for row, metabolite in enumerate(network.metabolites) if network.is_species(metabolite, "o2")]
    boundary, taken, oxidases = set(network.boundary), {}, 0
    for column in np.unique(network.column_of[np.isin(network.indices, oxygen)]).tolist():
        reaction = network.reactions[column]
        stoichiometry = network.stoichiometry_of(reaction)
        amount = -sum(value for metabolite, value in stoichiometry.items() if network.is_species(metabolite, "o2"))
        if reaction in boundary or abs(amount) < 1e-9:
            continue
        if any(value * amount < 0 and network.is_species(m, "focytC") for m, value in stoichiometry.items()):
            oxidases += 1
        elif (network.upper if amount > 0 else -network.lower)[column] > 0:
            taken[reaction] = amount
    if taken and not oxidases:
        raise RedoxError(
            f"model {network.id} has no cytochrome c oxidase (ferrocytochrome c, focytC, with o2), "
            "which the oxygen budget of the medium excepts",
            hint="give its metabolites BiGG names, or choose a medium without an oxygen budget",
            settings=("medium",),
        )
    return taken


def add_ledgers(model: "cobra.Model", network: Network, besides: Collection[str] = ()) -> None:
    """Add to a COBRApy model, in place, the ledgers that a network made from it has, with reactions and bounds.

    Ledgers `besides` are left out.
    """
    from redox_balancer.cell.cobrapy import cobra  # noqa: PLC0415 - takes seconds

    for ledger in (name for name in network.metabolites if name.endswith(LEDGER)):
        if ledger in besides:
            continue
        if ledger in model.metabolites:
            token = model.metabolites.get_by_id(ledger)
        else:
            token = cobra.Metabolite(ledger, name="bookkeeping, not a substance", formula="", charge=0)
            token.compartment = next(iter(model.compartments))
            model.add_metabolites([token])
        for column in network.column_of[network.indices == network.metabolite_index[ledger]].tolist():
            name = network.reactions[column]
            entries = network.stoichiometry_of(name)
            if name in model.reactions:
                reaction = model.reactions.get_by_id(name)
                if reaction.metabolites.get(token) != entries[ledger]:
                    reaction.add_metabolites({token: entries[ledger]}, combine=False)
                continue
            added = cobra.Reaction(name, "bookkeeping, not a reaction of the cell", "", *network.bounds_of(name))
            model.add_reactions([added])
            added.add_metabolites({model.metabolites.get_by_id(one): value for one, value in entries.items()})


def with_supply(network: Network, name: str, metabolite: str, leaving: Mapping[str, float], most: float) -> Network:
    """Return a network with a closed reaction that supplies a metabolite and lets others leave for it.

    What is supplied fills a ledger, and each of `leaving` (the largest amount that leaves per unit, by metabolite)
    draws on it, so that no more leaves than the supply allows, however much that is. The rest of the ledger is
    discarded; `most` is a bound that does not limit either, mmol/gDW/h.
    """
    ledger = f"{name}{LEDGER}"
    columns = [Column(name, {metabolite: 1.0, ledger: 1.0}), Column(f"{name}_unused", {ledger: -1.0}, 0.0, most)]
    for other, share in leaving.items():
        columns.append(Column(f"{name}_for_{other}", {other: -1.0, ledger: -1.0 / share}, 0.0, most))
    network = network.with_columns(columns, new_metabolites=[ledger])
    return replace(network, charges={**network.charges, ledger: 0})


def _with_row(network: Network, ledger: str, coefficients: Mapping[str, float]) -> Network:
    """Return a network with one more metabolite, by its coefficient in each reaction."""
    columns = sorted((network.column(reaction), value) for reaction, value in coefficients.items())
    after = [column + 1 for column, _ in columns]
    ends, counts = network.indptr[after], np.zeros(len(network.indptr), dtype=np.int32)
    counts[after] = 1
    return replace(
        network,
        metabolites=(*network.metabolites, ledger),
        indptr=network.indptr + np.cumsum(counts, dtype=np.int32),
        indices=np.insert(network.indices, ends, np.int32(len(network.metabolites))),
        data=np.insert(network.data, ends, [value for _, value in columns]),
        charges={**network.charges, ledger: 0},
    )
