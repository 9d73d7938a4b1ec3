"""The consistent core of a model: all reactions that can carry flux on a medium.

The core is the complete flux-consistent subnetwork (`consistency.py`), never a selection by the fluxes of one
solution: an optimum uses about 300 of the 8,600 reactions of Recon3D that can carry flux, an arbitrary selection.
Rules name the reactions that a core must retain (the objective, essential reactions, central carbon metabolism, the
medium) and report which of them cannot carry flux.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from redox_balancer.cell.consistency import SOLVE_LIMIT_S, Consistency, consistent_reactions, has_slack, one_way_parts
from redox_balancer.cell.ledgers import add_ledgers
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.missing import does_not_grow
from redox_balancer.cell.network import Network
from redox_balancer.cell.rational import integer_network
from redox_balancer.cell.solution import Status
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

if TYPE_CHECKING:
    import cobra

ESSENTIAL_FRACTION = 0.01
"""A reaction is essential if growth without it is below this fraction of the full growth (as in COBRApy)."""

GROWTH_TOLERANCE = 1e-6  # largest accepted difference of growth between core and model, relative

_NO_GROWTH = 1e-6
_CANDIDATE_COST = 1000.0  # cost of flux through a candidate for essentiality, relative to that of any other flux

_CENTRAL_CARBON = re.compile(
    r"""(?:
    HEX1|GLK|PGI|PFK|FBP|FBA|TPI|GAPD|PGK|PGM|ENO|PYK|PEPCK|PPCK|G6PP|LDH_[LD]|LDH|  # glycolysis, gluconeogenesis
    PDH|PC|CS|ACONT[ab]?|ICDH(?:x|y|yr)?|AKGDH?|SUCOAS1?|SUCD[1i]?|FUM|MDH|ME[12]|ACITL|  # citric acid cycle
    G6PDH2r?|PGL|GND|RPI|RPE|TKT[12]|TALA|  # pentose phosphate pathway
    NADH(?:2_u10|16|5|11)|FADH2ETC|CYOR_u10|CYOO[0-9]?|CYTBD|CYOOm[23]|ATPS4|ATPS  # respiration
    )(?:[cmxrlngi]|er|mi|rm|pp|r|p)?  # in a compartment
    |GLCt.*|GLCpts.*|GLCSGLT.*|GLUT[0-9].*""",
    re.VERBOSE,
)
"""BiGG names of central carbon reactions."""


@dataclass(frozen=True)
class CoreRule:
    """A set of reactions that a core must retain: those in the core, and those that are blocked on this medium."""

    name: str
    description: str
    kept: tuple[str, ...]
    blocked: tuple[str, ...]


@dataclass(frozen=True)
class Core:
    """The consistent core of a model on a medium, and its and the full model's largest growth on it, 1/h.

    `consistency` says which reactions of the full model can carry flux, and `has_slack` whether those that are kept
    can also within the size of the bounds, see `consistency.has_slack`.
    """

    network: Network
    growth: float
    model_growth: float
    rules: tuple[CoreRule, ...]
    consistency: Consistency
    has_slack: bool


def extract_core(
    network: Network, medium: Iterable[str], progress: Progress = no_progress, *, opened: Network | None = None
) -> Core:
    """Extract the reactions that can carry flux.

    `network` has the bounds of its medium, mmol/gDW/h, and the biomass reaction as its objective; `medium` are the
    reactions through which that medium is taken up, by the model's own ids. `opened` is the same model with wider
    bounds, see `choice.opened`: what can carry flux there is in the core, too. A RedoxError if the model does not
    grow on the medium, or is too badly scaled.
    """
    progress("growth of the model")
    model_growth = _growth(network)
    widest = opened or network
    consistency = consistent_reactions(widest, progress)
    core = network.subset(network.reactions[column] for column in consistency.kept)
    progress("growth of the core")
    growth = _growth(core)
    if abs(growth - model_growth) > GROWTH_TOLERANCE * model_growth:
        raise RedoxError(
            f"the core of {network.id} grows at {growth:.9g}, the model at {model_growth:.9g}",
            hint="check the model for coefficients that differ by more than nine orders of magnitude",
        )
    progress("essential reactions")
    essential = essential_reactions(core, growth)

    def rule(name: str, description: str, found: Iterable[str]) -> CoreRule:
        names, own = set(found), core.reaction_index.keys()
        return CoreRule(name, description, tuple(sorted(names & own)), tuple(sorted(names - own)))

    rules = (
        rule("objective", "the biomass reaction", {network.objective}),
        rule("essential", f"growth below {ESSENTIAL_FRACTION:.0%} when deleted", essential),
        rule("central_carbon", "by name, and all transporters of glucose", central_carbon(network)),
        rule("medium", "exchanges of the medium", medium),
        rule("consistent", "can carry flux in steady state", core.reactions),
    )
    return Core(core, growth, model_growth, rules, consistency, has_slack(widest))


def essential_reactions(network: Network, growth: float) -> tuple[str, ...]:
    """Find the reactions without which growth is below `ESSENTIAL_FRACTION` of the largest, `growth` (1/h).

    Each is verified by a deletion: both bounds 0 and growth fixed at that fraction is infeasible. Only candidates are
    deleted: an essential reaction carries flux in every solution with growth, so a reaction without flux in any one
    solution is not essential. Solutions that minimise the total flux, with a high cost for candidates, leave few.
    Any flux above 0 makes a reaction a candidate, be it 1e-9 of a vitamin; round-off merely adds deletions.

    Fluxes are measured in units in which the required growth is above 1: on the human minimal medium it is 3.7e-4
    1/h, and the demand of biomass for some metabolites would be close to the tolerance of the solver, 1e-7.
    """
    scaled, unit = integer_network(network)
    biomass, floor = network.column(network.objective), ESSENTIAL_FRACTION * growth * unit
    scaled.lower[biomass] = max(floor, scaled.lower[biomass])
    enlarged = 2.0 ** max(0, math.ceil(-math.log2(floor)))
    split, reaction_of = one_way_parts(replace(scaled, lower=scaled.lower * enlarged, upper=scaled.upper * enlarged))
    lower, upper = split.lower, split.upper

    weights = np.full(len(reaction_of), -1.0)
    candidates, essential = np.ones(len(network.reactions), np.bool_), np.zeros(len(network.reactions), np.bool_)
    essential[biomass] = True
    with FluxLP(split, {}, time_limit_s=SOLVE_LIMIT_S) as lp:
        lp.crash_basis()
        while True:
            lp.set_objective_columns(dict(enumerate(weights.tolist())))
            _solve(lp, network.id)
            before = int(candidates.sum())
            candidates &= _active(lp, reaction_of, len(candidates))
            if int(candidates.sum()) == before:
                break
            weights = np.where(candidates[reaction_of], -_CANDIDATE_COST, -1.0)
        candidates[biomass] = False
        for column in np.flatnonzero(candidates):
            if not candidates[column]:  # any more
                continue
            parts = np.flatnonzero(reaction_of == column).tolist()
            for part in parts:
                lp.set_bounds(part, 0.0, 0.0)
            if not _solve(lp, network.id):
                essential[column] = True
            elif not lower[parts].any():  # without a forced flux it is no solution for the others
                candidates &= _active(lp, reaction_of, len(candidates)) | essential
            for part in parts:
                lp.set_bounds(part, lower[part], upper[part])
    return tuple(network.reactions[column] for column in np.flatnonzero(essential))


def central_carbon(network: Network) -> tuple[str, ...]:
    """Find the reactions of central carbon metabolism in any compartment.

    They are found by their BiGG name with any compartment suffix, and by stoichiometry: a reaction that moves glucose
    between compartments is a glucose transporter, whatever its name.
    """
    named = {reaction: network.bigg_names.get(reaction, reaction) for reaction in network.reactions}
    return tuple(r for r, name in named.items() if _CENTRAL_CARBON.fullmatch(name) or _moves_glucose(network, r))


def core_model(model: "cobra.Model", core: Network) -> "cobra.Model":
    """Build the COBRApy model of a core: its reactions, bounds and objective, with all annotations of the full model.

    It is built from the filtered document, because removing 2,000 reactions from Recon3D one by one takes three times
    as long.
    """
    from redox_balancer.cell.cobrapy import cobra  # noqa: PLC0415 - takes seconds

    document: dict[str, Any] = cobra.io.dict.model_to_dict(model)
    reactions = [reaction for reaction in document["reactions"] if reaction["id"] in core.reaction_index]
    genes = {gene.id for reaction in reactions for gene in model.reactions.get_by_id(reaction["id"]).genes}
    for reaction in reactions:
        column = core.column(reaction["id"])
        # Both at once: one after the other, COBRApy refuses a lower bound above its default of the upper one.
        reaction["bounds"] = float(core.lower[column]), float(core.upper[column])
        for key in ("lower_bound", "upper_bound", "objective_coefficient"):
            reaction.pop(key, None)
        if reaction["id"] == core.objective:
            reaction["objective_coefficient"] = 1.0
    document["reactions"] = reactions
    document["metabolites"] = [m for m in document["metabolites"] if m["id"] in core.metabolite_index]
    document["genes"] = [gene for gene in document["genes"] if gene["id"] in genes]
    written = cobra.io.dict.model_from_dict(document)
    add_ledgers(written, core)
    return written


def _growth(network: Network) -> float:
    scaled, unit = integer_network(network)
    with FluxLP(scaled, time_limit_s=SOLVE_LIMIT_S) as lp:
        lp.crash_basis()
        growth = lp.maximise()
    if growth.status is Status.INFEASIBLE or growth.objective / unit < _NO_GROWTH:
        raise does_not_grow(network)
    if not growth.optimal:
        raise RedoxError(
            f"growth of {network.id} could not be computed: {growth.status.value}",
            hint=f"check that {network.objective} is the biomass reaction and its uptakes are bounded",
        )
    return growth.objective / unit


def _solve(lp: FluxLP, name: str) -> bool:
    """Whether the problem is feasible; any other status than optimal or infeasible is an error."""
    solution = lp.maximise()
    if solution.optimal or solution.status is Status.INFEASIBLE:
        return solution.optimal
    raise RedoxError(f"a deletion in {name} ended with: {solution.status.value}", hint="check the model's bounds")


def _active(lp: FluxLP, reaction_of: np.ndarray, reactions: int) -> np.ndarray:
    """Whether each reaction carries flux in the last solution, shape (reactions,)."""
    active = np.zeros(reactions, dtype=np.bool_)
    active[reaction_of[lp.fluxes() > 0]] = True
    return active


def _moves_glucose(network: Network, reaction: str) -> bool:
    stoichiometry = network.stoichiometry_of(reaction)
    moved = [value for metabolite, value in stoichiometry.items() if network.is_species(metabolite, "glc__D")]
    return len(moved) == 2 and min(moved) < 0 < max(moved)
