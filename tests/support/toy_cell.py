"""A small cell of our own: glucose, respiration, lactate and biomass, in BiGG's names, balanced; it grows at 12 1/h.

Tests write a quirk of a public model into it.
"""

import cobra

from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.models import to_network
from redox_balancer.cell.network import Network

GROWTH = 12.0

SPECIES = {
    "glc__D": ("C6H12O6", 0),
    "o2": ("O2", 0),
    "nad": ("C21H26N7O14P2", -1),
    "nadh": ("C21H27N7O14P2", -2),
    "h": ("H", 1),
    "h2o": ("H2O", 0),
    "atp": ("C10H12N5O13P3", -4),
    "adp": ("C10H12N5O10P2", -3),
    "pi": ("HO4P", -2),
    "pyr": ("C3H3O3", -1),
    "lac__L": ("C3H5O3", -1),
    "co2": ("CO2", 0),
    "nadp": ("C21H25N7O17P3", -3),
    "nadph": ("C21H26N7O17P3", -4),
}
REACTIONS = {
    "GLCt1": "glc__D_e <=> glc__D_c",
    "O2t": "o2_e <=> o2_c",
    "H2Ot": "h2o_e <=> h2o_c",
    "CO2t": "co2_e <=> co2_c",
    "Ht": "h_e <=> h_c",
    "L_LACt": "lac__L_e <=> lac__L_c",
    "GLYC": "glc__D_c + 2 nad_c + 2 adp_c + 2 pi_c --> 2 pyr_c + 2 nadh_c + 2 h_c + 2 atp_c + 2 h2o_c",
    "LDH_L": "lac__L_c + nad_c <=> pyr_c + nadh_c + h_c",
    "TCA": "pyr_c + 5 nad_c + 3 h2o_c --> 3 co2_c + 5 nadh_c + 4 h_c",
    "RESP": "nadh_c + 3.5 h_c + 0.5 o2_c + 2.5 adp_c + 2.5 pi_c --> nad_c + 2.5 atp_c + 3.5 h2o_c",
    "THD": "nadh_c + nadp_c <=> nad_c + nadph_c",
    "BIOMASS": "10 atp_c + 10 h2o_c + 0.5 pyr_c + 0.1 nadph_c --> 10 adp_c + 10 pi_c + 10 h_c + 0.1 nadp_c",
}
BLOCKED = {
    "core_false_refusal": (
        "D0: 3 h_c + x0_c <=> x1_c",
        "D1: h_c + x0_c <=> x1_c + {small} x2_c",
        "D2: 3 h_c + x2_c <=> x0_c",
    ),
    "false_infeasible_grows_1000": (
        "D0: x2_c <=> 2 h_c + x6_c",
        "D1: 3 h_c + x2_c <=> {small} x0_c",
        "D2: x6_c <=> 2 h_c + {small} x0_c + x4_c",
        "D3: 3 h_c <=> {small} x2_c + x4_c",
    ),
}
"""Reactions that only a surplus of protons could balance, by the trouble that a small coefficient gave."""
UPTAKES = {"glc__D": 10.0, "o2": 20.0, "h2o": 1000.0, "h": 1000.0, "co2": 0.0, "lac__L": 0.0}


def toy_cell() -> cobra.Model:
    """A new copy of the cell."""
    model = cobra.Model("toy")
    model.compartments = {"c": "cytosol", "e": "extracellular space"}
    equations = REACTIONS | {f"EX_{species}_e": f"{species}_e <=> " for species in UPTAKES}
    words = " ".join(equations.values()).split()
    for name in dict.fromkeys(word for word in words if word.endswith(("_c", "_e"))):
        formula, charge = SPECIES[name[:-2]]
        model.add_metabolites(
            [cobra.Metabolite(name, formula=formula, charge=charge, name=name[:-2], compartment=name[-1])]
        )
    model.add_reactions([cobra.Reaction(reaction) for reaction in equations])
    for reaction, equation in equations.items():
        model.reactions.get_by_id(reaction).build_reaction_from_string(equation)
    for species, uptake in UPTAKES.items():
        model.reactions.get_by_id(f"EX_{species}_e").lower_bound = -uptake
    model.objective = "BIOMASS"
    return model


def add_blocked(model: cobra.Model, kind: str, *, small: float = 1e-3, bound: float = 1000.0) -> None:
    """Add the reactions of `BLOCKED`, reversible within a bound in mmol/gDW/h."""
    for equation in BLOCKED[kind]:
        name, _, sides = equation.partition(": ")
        reaction = cobra.Reaction(name)
        model.add_reactions([reaction])
        reaction.build_reaction_from_string(sides.format(small=f"{small:.9f}"), verbose=False)
        reaction.bounds = -bound, bound
    for metabolite in model.metabolites:
        metabolite.compartment = metabolite.id[-1]


def unlimited_as_999999(model: cobra.Model) -> None:
    """Let 999999 stand for unlimited instead of 1000."""
    for reaction in model.reactions:
        lower, upper = reaction.bounds
        reaction.bounds = (-999999.0 if lower <= -999.0 else lower, 999999.0 if upper >= 999.0 else upper)


def growth_of(cell: cobra.Model | Network) -> float:
    """Largest growth of a cell, 1/h."""
    with FluxLP(cell if isinstance(cell, Network) else to_network(cell)) as lp:
        return lp.maximise().objective
