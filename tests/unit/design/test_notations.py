"""Media, conditions, the unit of the value and placements mean the same in every notation of a model."""

from pathlib import Path

import cobra
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from notations import NOTATIONS, Rewrite, renamed, scaled, split, with_boundary_species
from redox_balancer.cell.cobrapy import quiet_cobra
from redox_balancer.cell.conditions import Change, Side, limited
from redox_balancer.cell.exchanges import find_exchange, supplying_reactions
from redox_balancer.cell.media import Medium, apply_medium
from redox_balancer.cell.models import load_network, save_model, to_network
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.task import Task
from redox_balancer.designer.model import designed_cell, largest_capacity, largest_growth, open_model
from redox_balancer.errors import RedoxError
from redox_balancer.search.heuristics import greedy
from redox_balancer.search.problem import Problem, Search
from toy_cell import UPTAKES, growth_of, toy_cell


@pytest.fixture(scope="module")
def textbook() -> cobra.Model:
    with quiet_cobra():
        return cobra.io.load_model("textbook")


@pytest.fixture(params=NOTATIONS)
def model(request: pytest.FixtureRequest) -> cobra.Model:
    model = toy_cell()
    NOTATIONS[request.param](model)
    return model


def test_uptakes_and_media_are_the_same_in_every_notation(model: cobra.Model) -> None:
    network = load_network(model)
    for species, uptake in UPTAKES.items():
        exchange = find_exchange(network, f"EX_{species}_e")
        assert exchange is not None
        assert exchange.uptake == pytest.approx(uptake)
    assert len({next(iter(network.stoichiometry_of(r))) for r in network.exchanges}) == len(UPTAKES)
    assert len(supplying_reactions(network)) == 4
    assert growth_of(network) == pytest.approx(12.0)
    assert growth_of(apply_medium(network, "physiological")) == pytest.approx(0.628)
    assert find_exchange(network, "GLCt1") is None


def test_secretions_are_limited_in_every_notation(model: cobra.Model) -> None:
    free = dict.fromkeys(("EX_co2_e", "EX_h2o_e", "EX_h_e"), 1000.0)
    uptakes = {f"EX_{species}_e": uptake for species, uptake in (UPTAKES | {"o2": 1.0}).items()}
    media = [
        Medium(id="mine", description="", source="a test", uptakes=uptakes, secretions=secretions)
        for secretions in (None, free, free | {"EX_lac__L_e": {"value": 1.5, "source": "a test"}})
    ]
    fed = [medium.apply(load_network(model)) for medium in media]
    assert [growth_of(network) for network in fed] == pytest.approx([2.5, 0.557491, 0.714286], abs=1e-6)
    lactate = find_exchange(fed[2], "EX_lac__L_e")
    assert lactate is not None
    assert sum(reaction.removal for reaction in lactate.reactions) == 1.5


def test_conditions_values_and_exported_designs_are_the_same_in_every_notation(model: cobra.Model) -> None:
    task = Task(model=model, conditions=["healthy", "hypoxia"])
    space = task.space()
    assert [placement.id for placement in space.placements] == ["LBNOX_c", "TPNOX_c"]
    assert space.oxygen_uptake == pytest.approx(20.0)
    assert [condition.of(space.network) for condition in space.conditions] == list(space.conditions)
    with Evaluator(space, exact_check=True) as evaluator:
        for condition, value, grown in zip(space.conditions, (0.0310, 0.0098), (11.9675, 0.99792), strict=True):
            search = Search(Problem.under(evaluator, condition, 2))
            greedy(search)
            found = search.found()
            assert found.value == pytest.approx(value, abs=5e-5)
            outcome = evaluator.evaluate(found.construct, condition)
            assert outcome.growth == pytest.approx(grown, abs=1e-5)
            floor = evaluator.reference(condition).floor
            cell = designed_cell(open_model(task), space, found.construct, condition, floor=floor)
            assert largest_growth(cell) == pytest.approx(outcome.growth, abs=1e-7)
            assert largest_capacity(cell, outcome.growth) == pytest.approx(outcome.capacity, abs=1e-6)


def test_an_export_is_limited_in_every_notation(model: cobra.Model) -> None:
    limit = Change(reaction="EX_lac__L_e", side=Side.EXPORT, value=1.0, low=0.0, high=2.0, source="a test")
    network = load_network(model)
    own = limit.of(network)
    assert own.of(network) == own
    bounds = limited(*network.bounds_of(own.reaction), own.side, own.value)
    exchange = find_exchange(network.with_bounds({own.reaction: bounds}), "EX_lac__L_e")
    assert exchange is not None
    assert sum(reaction.removal for reaction in exchange.reactions) == pytest.approx(1.0)


def test_metabolites_that_raven_marks_as_unconstrained_are_outside(tmp_path: Path) -> None:
    model, path = toy_cell(), tmp_path / "model.mat"
    with_boundary_species(sources=False)(model)
    outside = [metabolite for metabolite in model.metabolites if metabolite.id.endswith("_b")]
    for number, metabolite in enumerate(outside):
        metabolite.id = f"outside{number}"
    save_model(model, path)
    fields = loadmat(path, simplify_cells=True)["toy"]
    savemat(path, {"toy": fields | {"unconstrained": [float(m in outside) for m in model.metabolites]}})
    network = load_network(path)
    assert "unconstrained" in "".join(network.repairs)
    assert len(network.exchanges) == len(UPTAKES)
    assert growth_of(apply_medium(network, "physiological")) == pytest.approx(0.628)


@pytest.mark.parametrize("rewrite", [scaled(-1.0), scaled(-2.0), split("{}_REV"), split("{}_i", -1.0)])
def test_random_media_give_the_growth_of_the_usual_notation(rewrite: Rewrite, textbook: cobra.Model) -> None:
    usual, other = to_network(textbook), textbook.copy()
    rewrite(other)
    rewritten = to_network(other)
    generator = np.random.default_rng(5)
    grown = 0
    for _ in range(25):
        listed = generator.choice(usual.exchanges, generator.integers(5, 21), replace=False)
        uptakes = dict(zip(listed.tolist(), generator.uniform(0.0, 20.0, len(listed)).tolist(), strict=True))
        uptakes |= {"EX_glc__D_e": 10.0, "EX_nh4_e": 10.0, "EX_pi_e": 10.0}
        medium = Medium(id="random", description="", source="a test", uptakes=uptakes)
        expected = growth_of(medium.apply(usual))
        assert growth_of(medium.apply(rewritten)) == pytest.approx(expected, abs=1e-7)
        grown += expected > 0
    assert grown > 5


def test_a_condition_on_an_uptake_through_two_reactions_names_them() -> None:
    model = toy_cell()
    second = model.reactions.EX_o2_e.copy()
    second.id = "oxygen"
    model.add_reactions([second])
    with pytest.raises(RedoxError, match="o2_e is supplied by EX_o2_e, oxygen") as refused:
        Task(model=model, conditions=["hypoxia"]).space()
    assert refused.value.hint
    assert Task(model=model, conditions=["healthy"]).space().oxygen_uptake == 40.0


def test_the_compartment_of_most_exchanges_is_extracellular_and_said_to_be_so() -> None:
    model = toy_cell()
    renamed(lambda s, c: f"{s}.{c}", str, c="cy", e="ex1")(model)
    for metabolite in model.metabolites:
        metabolite.annotation["bigg.metabolite"] = metabolite.id.partition(".")[0]
    network = to_network(model)
    assert growth_of(apply_medium(network, "physiological")) == pytest.approx(0.628)
    assert network.repairs == ("compartment ex1 is read as extracellular, since most exchanges are there",)


def test_a_medium_names_the_compartments_where_none_is_extracellular() -> None:
    model = toy_cell()
    for metabolite in model.metabolites:
        metabolite.compartment = "c"
    with pytest.raises(RedoxError, match=r"no compartment with exchanges is known as extracellular \(c\)"):
        apply_medium(to_network(model), "physiological")


def test_an_objective_that_is_a_drain_and_the_enzymes_of_gecko_stay_open_in_a_medium() -> None:
    model = toy_cell()
    pool, biomass = cobra.Metabolite("prot_pool", compartment="c"), cobra.Metabolite("biomass_c", compartment="c")
    model.reactions.RESP.add_metabolites({pool: -1.0})
    model.reactions.BIOMASS.add_metabolites({biomass: 1.0})
    model.add_reactions([cobra.Reaction("prot_pool_exchange", upper_bound=2.0), cobra.Reaction("drain")])
    model.reactions.prot_pool_exchange.add_metabolites({pool: 1.0})
    model.reactions.drain.add_metabolites({biomass: -1.0})
    network = to_network(model, "drain")
    fed = apply_medium(network, "physiological")
    assert fed.bounds_of("prot_pool_exchange") == (0.0, 2.0)
    assert growth_of(fed) == pytest.approx(0.628)


@pytest.mark.parametrize("bound", [float("inf"), 999999.0])
def test_an_unlimited_oxygen_uptake_is_no_unit(bound: float) -> None:
    model = toy_cell()
    model.reactions.EX_o2_e.lower_bound = -bound
    space = Task(model=model, conditions=["healthy"]).space()
    with pytest.raises(RedoxError, match="oxygen uptake of model toy is unlimited") as refused:
        Evaluator(space)
    assert refused.value.settings == ("medium", "reward")


def split_by_direction(model: cobra.Model, *, enzyme: bool, arms: bool, sign: int = 1) -> None:
    """Write LDH_L as GECKO does: one reaction for each direction, with its enzyme, and arms before isoenzymes."""
    own = model.reactions.LDH_L
    forward = own.metabolites
    model.remove_reactions([own])
    protein = cobra.Metabolite("prot_P00338", compartment="c")
    parts = {"prot_P00338_exchange": {protein: 1.0}} if enzyme else {}
    for name, direction in (("LDH_L", 1), ("LDH_L_REV", -1)):
        used = {m: direction * n for m, n in forward.items()}
        cost = {protein: -1e-3} if enzyme else {}
        if arms:
            between = cobra.Metabolite(f"pmet_{name}", compartment="c")
            parts[f"arm_{name}"] = {m: n for m, n in used.items() if n < 0} | {between: 1.0}
            parts[f"{name}No1"] = {m: n for m, n in used.items() if n > 0} | {between: -1.0} | cost
        else:
            parts[name] = {m: sign * n for m, n in used.items()} | cost
    for name, stoichiometry in parts.items():
        reaction = cobra.Reaction(name)
        reaction.bounds = (0.0, 1000.0) if sign > 0 else (-1000.0, 0.0)
        model.add_reactions([reaction])
        reaction.add_metabolites(stoichiometry)


@pytest.mark.parametrize(
    ("enzyme", "arms", "sign", "named"),
    [
        (False, False, 1, None),
        (False, False, -1, None),
        (True, False, 1, None),
        (True, True, 1, None),
        (True, True, 1, "arm_LDH_L"),
    ],
)
def test_a_reaction_in_two_directions_is_valued_as_one_and_limited_by_no_condition(
    *, enzyme: bool, arms: bool, sign: int, named: str | None
) -> None:
    model = toy_cell()
    split_by_direction(model, enzyme=enzyme, arms=arms, sign=sign)
    if named:
        model.reactions.get_by_id(named).annotation["bigg.reaction"] = "LDH_L"
    space = Task(model=model).space()
    assert [condition.id for condition in space.conditions] == ["healthy", "hypoxia"]
    with Evaluator(space, exact_check=True) as evaluator:
        search = Search(Problem.under(evaluator, space.healthy, 2))
        greedy(search)
        assert search.found().value == pytest.approx(0.0310, abs=5e-5)
    missing = arms and not named
    message = "needs 'LDH_L', which model toy lacks" if missing else r"LDH_L runs backwards as \w*LDH_L_REV"
    with pytest.raises(RedoxError, match=message) as refused:
        Task(model=model, conditions=["hypoxia_ldha_deficiency"]).space()
    assert "conditions" in refused.value.settings
