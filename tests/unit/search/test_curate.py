"""Curation of cells with something wrong: nothing is free afterwards, at the lowest price, and the rest is kept."""

import itertools
from pathlib import Path

import cobra
import numpy as np
import pytest

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.curation import Curation
from redox_balancer.cell.function_list import Amount, Function
from redox_balancer.cell.functions import perform
from redox_balancer.cell.models import to_network
from redox_balancer.cell.probes import free_fluxes
from redox_balancer.cell.suspicion import DirectedStep, suspicion
from redox_balancer.search.closures import cheapest_closures
from redox_balancer.search.curate import CAP, CurationProposal, propose, without
from redox_balancer.search.curation_files import log_lines, write_curation
from refusals import refused
from toy_cell import GROWTH, SPECIES, growth_of, toy_cell

FORMULAS = {species: formula for species, (formula, _) in SPECIES.items()} | {
    "h2o2": "H2O2",
    "q8": "C49H74O4",
    "q8h2": "C49H76O4",
}
CHARGES = {species: charge for species, (_, charge) in SPECIES.items()}
PENTOSES = "PPP: glc__D_c + 12 nadp_c + 6 h2o_c --> 6 co2_c + 12 nadph_c + 12 h_c"
DEHYDROGENASE = "XDH: x1_c + h2o_c + nad_c <=> x2_c + nadh_c + h_c"
OXIDASE = "XOX: x1_c + h2o_c + o2_c --> x2_c + h2o2_c"
MAKE = "MAKE: x0_c + h2o_c + nadp_c --> x1_c + nadph_c + h_c"
UNMAKE = "UNDO: nadh_c + x1_c + h_c --> nad_c + h2o_c + x0_c"
AGAIN = UNMAKE.replace("UNDO", "AGAIN")
THD = "THD2: nadh_c + nadp_c --> nad_c + nadph_c"
NDH = "NDH: nadh_c + q8_c + h_c <=> nad_c + q8h2_c"
SYNTHASE = "SYN: adp_c + pi_c + 4 h_p --> atp_c + h2o_c + 3 h_c"
BACTERIAL = (
    "CYO: q8h2_c + 0.5 o2_c + 4 h_c --> q8_c + h2o_c + 4 h_p",
    "PORIN: h_e <=> h_p",
    "MONO: nadph_c + h_c + o2_c --> nadp_c + h2o2_c",
)
CATALASE = "CAT: 2 h2o2_c --> 2 h2o_c + o2_c"


def cell(*equations: str, genes: str = "") -> cobra.Model:
    """The toy cell with another source of NADPH than its transhydrogenase, and with further reactions.

    `genes` names those that have one. A metabolite `x3` has the formula CH2O3.
    """
    model = toy_cell()
    model.reactions.THD.bounds = 0.0, 0.0
    if any("h_e" in equation for equation in equations):  # protons cross the outer membrane instead
        model.reactions.Ht.bounds = 0.0, 0.0
    for equation in (PENTOSES, *equations):
        name, _, sides = equation.partition(": ")
        reaction = cobra.Reaction(name)
        model.add_reactions([reaction])
        reaction.build_reaction_from_string(sides, verbose=False)
        if name in genes.split():
            reaction.gene_reaction_rule = f"g_{name}"
    for metabolite in model.metabolites:
        species, metabolite.compartment = metabolite.id[:-2], metabolite.id[-1]
        metabolite.formula = FORMULAS.get(species) or f"CH2O{species[1:]}"
        metabolite.charge = CHARGES.get(species, 0)
    return model


def proposal_for(model: cobra.Model, *functions: Function) -> CurationProposal:
    network = to_network(model)
    return propose(network, network, functions, with_gene={r.id for r in model.reactions if r.genes})


def closed_in(proposal: CurationProposal) -> set[str]:
    return {str(closing.step) for closing in proposal.closings}


WRONG = {
    "free oxidation": (["NOX: nadph_c + h_c + 0.5 o2_c --> nadp_c + h2o_c"], "", {"NOX"}),
    "an acid that becomes an aldehyde": ([DEHYDROGENASE, OXIDASE, CATALASE], "XDH XOX CAT", {"~XDH"}),
    "two transhydrogenases": ([THD, THD.replace("THD2", "THD3")], "THD3", {"THD2", "THD3"}),
    "a step without a gene": ([MAKE, UNMAKE], "MAKE", {"UNDO"}),
    "a step that two cycles share": ([MAKE, UNMAKE, AGAIN], "UNDO AGAIN", {"MAKE"}),
    "two steps cheaper than a shared one": ([MAKE, UNMAKE, AGAIN], "MAKE", {"UNDO", "AGAIN"}),
    "free ATP": (["FREE: adp_c + pi_c + h_c --> atp_c + h2o_c"], "FREE", {"FREE"}),
    "free gradient of bacteria": (["PUMP: h_c --> h_p", SYNTHASE], "SYN", {"PUMP"}),
    "a free quinol": ([NDH, NDH.replace("nad", "nadp").replace("NDH", "NDP")], "NDH", {"~NDP"}),
    "the chemistry of bacteria": ([NDH, SYNTHASE, CATALASE, *BACTERIAL], "", set()),
    "nothing": ([DEHYDROGENASE, CATALASE], "", set()),
}  # fmt: skip


@pytest.mark.parametrize(("equations", "genes", "closed"), WRONG.values(), ids=list(WRONG))
def test_a_cell_with_one_thing_wrong_ends_curated(equations: list[str], genes: str, closed: set[str]) -> None:
    model = cell(*equations, genes=genes)
    assert not imbalanced_reactions(to_network(model))
    found = proposal_for(model)
    assert closed_in(found) == closed
    assert any(found.before.values()) is bool(closed)
    assert not any(found.after.values())
    assert not any(free_fluxes(found.network).values())
    rests_on_it = closed & {"FREE", "PUMP"}
    assert growth_of(found.network) == pytest.approx(found.growth_after, rel=1e-9)
    assert found.growth_after >= 0.99 * (GROWTH if rests_on_it else found.growth)


def generated(seed: int) -> tuple[cobra.Model, Function]:
    """A cell with a few random redox reactions between x0 to x3, and a function that may need some of them."""
    rng = np.random.default_rng(seed)
    equations, names = [CATALASE], []
    for k in range(5):
        low = int(rng.integers(3))
        carrier = rng.choice(["nad", "nadp"])
        sides = [f"x{low}_c + h2o_c + {carrier}_c", f"x{low + 1}_c + {carrier}h_c + h_c"]
        if rng.random() < 0.3:
            sides, arrow = [f"x{low}_c + h2o_c + o2_c", f"x{low + 1}_c + h2o2_c"], "-->"
        else:
            sides, arrow = sides[:: int(rng.choice([1, -1]))], str(rng.choice(["<=>", "-->"]))
        names.append(f"R{k}")
        equations.append(f"R{k}: {sides[0]} {arrow} {sides[1]}")
    low, high = sorted(rng.choice(4, 2, replace=False).tolist())
    free = Amount(0.0, 1000.0)
    function = Function(
        "conversion",
        inputs={f"x{low}_c": Amount(1.0, 1.0)} | dict.fromkeys(("nad_c", "nadp_c", "o2_e", "h2o_e", "h_e"), free),
        outputs={f"x{high}_c": Amount(1.0, 1.0)} | dict.fromkeys(("nadh_c", "nadph_c", "h2o_e", "h_e", "h_c"), free),
    )
    return cell(*equations, genes=" ".join(name for name in (*names, "CAT") if rng.random() < 0.6)), function


def cheapest_by_trial(model: cobra.Model, function: Function) -> int:
    """The lowest price of all sets of steps of the new reactions."""
    network, genes = to_network(model), {r.id for r in model.reactions if r.genes}
    steps = [
        DirectedStep(name, backwards)
        for name in ("CAT", *(f"R{k}" for k in range(5)))
        for backwards, bound in zip((False, True), network.bounds_of(name)[::-1], strict=True)
        if bound
    ]
    prices = {step: suspicion(network, step, genes).price for step in steps}
    sets = itertools.chain.from_iterable(itertools.combinations(steps, size) for size in range(len(steps) + 1))
    (before,) = perform(network, [function])
    for closed in sorted(sets, key=lambda chosen: sum(prices[step] for step in chosen)):
        curated = without(network, closed)
        (after,) = perform(curated, [function])
        if after.performed is before.performed and not any(free_fluxes(curated).values()):
            assert growth_of(curated) >= 0.99 * growth_of(network)
            return sum(prices[step] for step in closed)
    pytest.fail("no set keeps the function")


@pytest.mark.parametrize("seed", range(30))
def test_no_other_set_of_steps_is_cheaper(seed: int) -> None:
    model, function = generated(seed)
    found = proposal_for(model, function)
    assert not any(found.after.values())
    assert not found.lost
    assert found.price == cheapest_by_trial(model, function)


def test_what_does_not_balance_is_closed_or_capped_where_growth_or_a_function_needs_it() -> None:
    model = cell("IDLE: nadp_c + h_c --> nadph_c", "X: x1_c <=> x2_c")
    model.reactions.TCA.add_metabolites({"h_c": 1})
    function = Function("x2 from x1", inputs={"x1_c": Amount(0.1, 0.1)}, outputs={"x2_c": Amount(0.1, 0.1)})
    found = proposal_for(model, function)
    assert found.unbalanced.keys() == {"IDLE", "TCA", "X"}
    assert found.unbalanced["IDLE"] is None
    assert found.network.bounds_of("X") == pytest.approx((-CAP * 0.1, CAP * 0.1), rel=1e-5)
    needed = found.network.bounds_of("TCA")[1] / CAP
    for share, grows in ((1.0001, True), (0.98, False)):
        limited = found.network.with_bounds({"TCA": (0.0, share * needed)})
        assert (growth_of(limited) >= 0.99 * GROWTH) is grows
    assert (found.functions, found.closings) == (("x2 from x1",), ())
    assert found.growth_after >= 0.99 * GROWTH
    assert {str(probe) for probe, value in found.before.items() if value} == {"reduction (nadph_c)"}
    assert not any(found.after.values())


def test_a_step_that_growth_needs_stays_open() -> None:
    model = cell(MAKE, UNMAKE, "X: x1_c --> ", genes="MAKE")
    model.reactions.BIOMASS.add_metabolites({"x1_c": -0.1})
    model.reactions.X.reaction = " --> x0_c"
    assert closed_in(proposal_for(model)) == {"UNDO"}
    model = cell(THD)
    model.reactions.PPP.bounds = 0.0, 0.0
    with refused("the cycle THD2 of free NADPH from NADH (c) has no step"):
        proposal_for(model)


def test_a_cell_that_does_not_grow_is_refused() -> None:
    model = cell()
    model.reactions.EX_glc__D_e.bounds = 0.0, 0.0
    with refused("model toy does not grow", settings=("medium", "biomass")):
        proposal_for(model)


def test_no_set_of_steps_is_none() -> None:
    a, b, c = (DirectedStep(name) for name in "abc")
    prices = dict.fromkeys((a, b), 1)
    assert cheapest_closures([], [], prices) == frozenset()
    assert cheapest_closures([frozenset({a, c})], [], prices) == {a}
    assert cheapest_closures([frozenset({a, b})], [frozenset({a})], prices) == {b}
    assert cheapest_closures([frozenset({a})], [frozenset({a})], prices) is None
    assert cheapest_closures([frozenset({c})], [], prices) is None


def test_the_written_curation_makes_the_proposed_network(tmp_path: Path) -> None:
    model = cell(
        DEHYDROGENASE, OXIDASE, CATALASE, MAKE, UNMAKE, "IDLE: nadp_c + h_c --> nadph_c", genes="XDH XOX CAT"
    )
    model.reactions.TCA.add_metabolites({"h_c": 1})
    network, found = to_network(model), proposal_for(model)
    assert closed_in(found) == {"~XDH", "UNDO"}
    write_curation(network, found, tmp_path / "own.toml")
    curated = Curation.read(tmp_path / "own.toml").apply(network)
    assert curated.reactions == ("UNDO", "XDH", "TCA", "IDLE")
    for reaction in network.reactions:
        assert curated.network.bounds_of(reaction) == found.network.bounds_of(reaction)
    again = propose(curated.network, curated.network)
    assert (again.closings, again.unbalanced) == ((), {})
    log = "\n".join(log_lines(network, found))
    assert "free oxidation (nadh_c)" in log
    assert "- `IDLE` closed: charge -2" in log


def test_a_function_that_rests_on_what_is_free_is_lost_and_named() -> None:
    hydrolysis = {"atp_c": -1.0, "h2o_c": -1.0, "adp_c": 1.0, "pi_c": 1.0, "h_c": 1.0}
    function = Function("ATP from nothing", equations=[(hydrolysis, Amount(1.0, 1000.0))])
    found = proposal_for(cell("FREE: adp_c + pi_c + h_c --> atp_c + h2o_c"), function)
    assert (closed_in(found), found.lost, found.functions) == ({"FREE"}, ("ATP from nothing",), ())
    assert found.growth_after == pytest.approx(growth_of(cell()), rel=1e-6)
    assert found.growth > 2 * GROWTH
