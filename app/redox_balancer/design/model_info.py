"""What a modeller asks of a model: what limits its growth, what is recognised, what is wrong, what can be placed.

The answers come section by section, the quick ones first, so that a long search hides nothing that is known already.
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.cell_lines import CellLine, skipped_exchanges
from redox_balancer.cell.choice import offered_conditions
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.consistency import stoichiometric_matrix
from redox_balancer.cell.cycles import reactions_in_cycles
from redox_balancer.cell.exchanges import Exchange, extracellular_exchanges, find_exchange
from redox_balancer.cell.lp import FluxLP, LPError
from redox_balancer.cell.media import MODEL_MEDIUM, apply_medium, get_medium
from redox_balancer.cell.missing import does_not_grow, largest_flux, missing_uptakes
from redox_balancer.cell.models import load_model
from redox_balancer.cell.network import Network
from redox_balancer.cell.solution import Solution, Status
from redox_balancer.design.enzymes import load_library, load_native_capacities
from redox_balancer.design.formulation import at_natural_abundance
from redox_balancer.design.growth_limits import limits_of_growth, reduced_costs
from redox_balancer.design.respiration import oxygen_uptake, respiration
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

LEAST_GROWTH = 1e-6  # growth in 1/h below which a model does not grow; solvers are exact to about 1e-9

HIGHS_LIMIT_S = 60.0
GLPK_LIMIT_S = 20.0
CYCLE_LIMIT_S = 30.0  # time limit of the search for infeasible cycles, s

Section = dict[str, Any]


def model_info(
    file: Path,
    medium: str = MODEL_MEDIUM,
    biomass: str | None = None,
    progress: Progress = no_progress,
    *,
    as_published: bool = False,
    curation: Path | None = None,
    line: CellLine | None = None,
) -> Iterator[Section]:
    """Describe a model on a medium.

    Parameters
    ----------
    file
        Model file.
    medium
        Name or file of a medium, `model` for the bounds of the model file.
    biomass
        The reaction whose flux is growth; the objective of the model by default.
    progress
        Receives the name of each section as it starts.
    as_published, curation
        As in `load_network`; the first section lists what the curation changed.
    line
        Cell line whose measured rates limit the exchanges.

    Yields
    ------
    dict
        A section as data, ready for JSON: size, growth and what limits it, exchanges and oxygen, balance, placements,
        and last infeasible cycles. None is an oxygen uptake without limit, and cycles where the search took too long.

    Raises
    ------
    RedoxError
        The model or the medium cannot be read, or do not fit each other; after the last section, if the model does
        not grow.
    """
    progress("reading the model")
    loaded = load_model(file)
    found = loaded.curated(biomass, as_published=as_published, curation=curation)
    network = found.network
    fed = apply_medium(network, medium)
    skipped: tuple[str, ...] = ()
    if line is not None:
        fed, skipped = line.condition(fed).apply(fed), skipped_exchanges(network, [line])
    yield {
        "model": network.id,
        "reactions": len(network.reactions),
        "metabolites": len(network.metabolites),
        "genes": len(loaded.model.genes),
        "objective": network.objective,
        "sense": "maximised",
        "repairs": [*network.repairs, *skipped],
        "curation": list(found.lines),
    }
    progress("growth")
    section, failure = _growth(fed, medium if line is None else f"{medium}, cell line {line.id}", progress)
    capacities = load_native_capacities(fed, as_published=as_published)
    native = _optimum(at_natural_abundance(fed, capacities)) if capacities else section["growth"]
    yield section | {"native_growth": native, "measured_growth": line.growth if line else None}
    progress("exchanges")
    yield _exchanges(fed, medium)
    yield _oxygen(fed)
    progress("balance")
    yield _balance(network)
    progress("placements")
    yield _placements(fed, as_published=as_published)
    progress("infeasible cycles")
    yield _cycles(network)
    if failure is not None:
        raise failure


def _growth(fed: Network, medium: str, progress: Progress) -> tuple[Section, RedoxError | None]:
    """The section, and the error to end with if the model does not grow.

    HiGHS solves models of GECKO's in seconds, on which GLPK takes minutes. Where GLPK has the time and a proof, its
    answer counts, as in all other commands.
    """
    S, growth_at = stoichiometric_matrix(fed), fed.column(fed.objective)
    solved = largest_flux(S, growth_at, fed.lower, fed.upper, HIGHS_LIMIT_S)
    quick = -solved.fun if solved.status == 0 else 0.0
    if quick >= LEAST_GROWTH:
        progress(f"growth {quick:.7g} 1/h by HiGHS; confirming it")
    costs = -(solved.lower.marginals + solved.upper.marginals) if quick else np.zeros(len(fed.reactions))
    with FluxLP(fed, time_limit_s=GLPK_LIMIT_S) as lp:
        lp.crash_basis()
        try:
            solution = lp.maximise()
            if solution.optimal:
                costs = reduced_costs(lp, fed)
        except LPError:
            if quick < LEAST_GROWTH:
                raise
            solution = Solution(Status.TIME_LIMIT, quick)
    proven = solution.status in (Status.OPTIMAL, Status.INFEASIBLE)
    growth = max(solution.objective, 0.0) if solution.optimal else 0.0 if proven else quick
    grows = growth >= LEAST_GROWTH
    missing = missing_uptakes(fed) if proven and not grows else None
    section = {
        "medium": medium,
        "growth": growth,
        "status": "optimal" if solution.optimal else "by HiGHS alone" if grows else solution.status.value,
        "limits": limits_of_growth(fed, growth, costs) if grows else [],
        "missing": list(missing.exchanges) if missing else [],
    }
    if grows:
        return section, None
    status = "" if solution.optimal else solution.status.value
    if proven:
        return section, does_not_grow(fed, f"medium {medium!r}", status, missing)
    hint = "check that its uptakes are bounded, or try a smaller model, such as a core extracted from this one"
    return section, RedoxError(
        f"growth of {fed.id} could not be computed: {status}", hint=hint, settings=("biomass",)
    )


def _optimum(network: Network) -> float | None:
    """Largest growth, 1/h; None where the solver has no proof of it in time."""
    with FluxLP(network, time_limit_s=GLPK_LIMIT_S) as lp:
        lp.crash_basis()
        try:
            solution = lp.maximise()
        except LPError:
            return None
    return max(solution.objective, 0.0) if solution.optimal else None


def _exchanges(fed: Network, medium: str) -> Section:
    exchanges = extracellular_exchanges(fed)
    own = set(fed.exchanges)
    others = [reaction for reaction in fed.boundary if reaction not in own]
    recipe = get_medium(medium)
    return {
        "exchanges": len(fed.exchanges),
        "notations": dict(Counter(map(_notation, exchanges))),
        "sinks_and_demands": len(others),
        "unrecognised_exchanges": [reaction for reaction in others if reaction.upper().startswith("EX_")],
        "not_in_model": [name for name in recipe.uptakes if not find_exchange(fed, name)] if recipe else [],
    }


def _notation(exchange: Exchange) -> str:
    if len(exchange.reactions) > 1:
        return "split"
    (reaction,) = exchange.reactions
    if abs(reaction.coefficient) != 1.0:
        return "scaled"
    return "import-positive" if reaction.coefficient > 0 else "usual"


def _oxygen(fed: Network) -> Section:
    try:
        unit, problem = respiration(fed), None
    except RedoxError as error:
        unit, problem = None, error.message
    uptake = oxygen_uptake(fed)
    return {"oxygen_uptake": uptake if math.isfinite(uptake) else None, "unit": unit, "unit_problem": problem}


def _balance(network: Network) -> Section:
    imbalanced = imbalanced_reactions(network)
    return {
        "imbalanced": len(imbalanced),
        "without_formula": len(network.metabolites) - len(network.formulas),
        "without_charge": len(network.metabolites) - len(network.charges),
        "imbalanced_reactions": imbalanced,
    }


def _placements(fed: Network, *, as_published: bool) -> Section:
    conditions, left_out = offered_conditions(load_conditions().values(), fed)
    found: Section = {"conditions": [condition.id for condition in conditions], "conditions_left_out": left_out}
    try:
        capacities = load_native_capacities(fed, as_published=as_published)
        space = DesignSpace.build(fed, load_library(None), conditions, capacities=capacities)
    except RedoxError as error:
        return {**found, "placements": [], "excluded": {}, "placements_problem": error.message}
    return {
        **found,
        "placements": [placement.id for placement in space.placements],
        "excluded": dict(Counter(entry.reason.value for entry in space.excluded)),
        "placements_problem": None,
    }


def _cycles(network: Network) -> Section:
    cycles: tuple[str, ...] | None
    try:
        cycles = reactions_in_cycles(network, time_limit_s=CYCLE_LIMIT_S)
    except RedoxError:
        cycles = None
    return {
        "free_loops": None if cycles is None else len(cycles),
        "looping_reactions": cycles,
        "cycle_limit_s": CYCLE_LIMIT_S,
    }
