"""Reference for the speed of environment steps: COBRApy's `optimize()` and a sum over `solution.fluxes`.

This is how the first system, the predecessor that this project replaces, took a step.
"""

from collections.abc import Mapping

from redox_balancer.cell.cobrapy import cobra
from redox_balancer.design.space import DesignSpace

Bounds = Mapping[str, tuple[float, float]]


class FirstSystem:
    """COBRApy model of a design space, including the reactions of all placements."""

    def __init__(self, space: DesignSpace) -> None:
        network = space.network
        self.model = cobra.Model(network.id)
        self.model.solver = "glpk"
        metabolites = {name: cobra.Metabolite(name, compartment=name[-1]) for name in network.metabolites}
        reactions = []
        for name, lower, upper in zip(network.reactions, network.lower, network.upper, strict=True):
            reaction = cobra.Reaction(name, lower_bound=float(lower), upper_bound=float(upper))
            reaction.add_metabolites({metabolites[m]: value for m, value in network.stoichiometry_of(name).items()})
            reactions.append(reaction)
        self.model.add_reactions(reactions)
        self.model.objective = network.objective

    def step(self, bounds: Bounds) -> float:
        """Set the bounds that change, solve, and return the total flux of the inserted reactions, mmol/gDW/h."""
        for reaction, (lower, upper) in bounds.items():
            self.model.reactions.get_by_id(reaction).bounds = (lower, upper)
        solution = self.model.optimize()
        return float(sum(flux for reaction, flux in solution.fluxes.items() if reaction.startswith("SINK_")))
