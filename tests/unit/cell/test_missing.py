"""The uptakes that are missing: no smaller set makes the cell grow, by trying them all."""

import itertools
import re
from pathlib import Path

import cobra
import numpy as np
import pytest

import redox_balancer as rb
from redox_balancer.cell.core import extract_core
from redox_balancer.cell.exchanges import exchange_of
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import OPEN, Cap, apply_medium, load_media
from redox_balancer.cell.missing import does_not_grow, missing_uptakes
from redox_balancer.cell.models import load_network, to_network
from redox_balancer.cell.network import Network
from toy_cell import toy_cell


def hungry_cell(generator: np.random.Generator) -> cobra.Model:
    """A toy cell that needs four vitamins, each of several foods; a food has several vitamins."""
    model = toy_cell()
    vitamins = [cobra.Metabolite(f"v{number}_c", compartment="c") for number in range(4)]
    scale = 10.0 ** generator.integers(-6, 3, size=4)
    model.reactions.BIOMASS.add_metabolites({v: -float(s) for v, s in zip(vitamins, scale, strict=True)})
    for number in range(6):
        food = cobra.Metabolite(f"food{number}_e", compartment="e")
        eaten, exchange = cobra.Reaction(f"EAT{number}"), cobra.Reaction(f"EX_food{number}_e", upper_bound=1000.0)
        model.add_reactions([eaten, exchange])
        holds = generator.choice(vitamins, size=generator.integers(1, 3), replace=False)
        eaten.add_metabolites({food: -1.0, **dict.fromkeys(holds, 1.0)})
        exchange.add_metabolites({food: -1.0 if generator.random() < 0.5 else 2.0})
        if exchange.metabolites[food] > 0:
            exchange.bounds = -1000.0, 0.0
    for vitamin in vitamins:
        model.add_boundary(vitamin, type="demand")
    for exchange in generator.choice(["EX_glc__D_e", "EX_o2_e", "EX_h2o_e", "EX_h_e"], size=2, replace=False):
        model.reactions.get_by_id(exchange).lower_bound = 0.0
    if generator.random() < 0.5:
        maintenance = cobra.Reaction("ATPM", lower_bound=float(generator.choice([1.0, 500.0])), upper_bound=1000.0)
        model.add_reactions([maintenance])
        maintenance.build_reaction_from_string("atp_c + h2o_c --> adp_c + pi_c + h_c")
    return model


def grows(network: Network, opened: tuple[str, ...] = ()) -> bool:
    bounds = {}
    for reaction in opened:
        (metabolite,) = network.stoichiometry_of(reaction)
        bounds |= exchange_of(network, metabolite).within(OPEN)
    with FluxLP(network.with_bounds(bounds)) as lp:
        solution = lp.maximise()
    return solution.optimal and solution.objective > 1e-6


@pytest.mark.parametrize("seed", range(30))
def test_no_smaller_set_of_uptakes_makes_a_cell_grow(seed: int) -> None:
    network = to_network(hungry_cell(np.random.default_rng(seed)))
    assert not grows(network)
    missing = missing_uptakes(network)
    assert missing.complete
    smaller = itertools.chain.from_iterable(
        itertools.combinations(network.exchanges, size)
        for size in range(len(missing.exchanges) if missing.exchanges else 5)
    )
    assert not any(grows(network, opened) for opened in smaller)
    if missing.exchanges:
        assert grows(network, tuple(name.removeprefix("more of ") for name in missing.exchanges))


def starved() -> cobra.Model:
    model = toy_cell()
    model.reactions.EX_glc__D_e.lower_bound = model.reactions.EX_h_e.lower_bound = 0.0
    return model


def test_every_command_that_needs_growth_names_what_is_missing() -> None:
    network = to_network(starved())
    for fail in (lambda: rb.Task(model=starved()).environments(), lambda: extract_core(network, ())):
        with pytest.raises(rb.RedoxError, match=r"does not grow on this medium; missing: \S+$") as caught:
            fail()
        assert caught.value.settings == ("medium", "biomass")


def test_a_cell_that_no_uptake_helps_is_not_told_to_eat() -> None:
    model = toy_cell()
    model.reactions.RESP.upper_bound = model.reactions.GLYC.upper_bound = 0.0
    error = does_not_grow(to_network(model))
    assert error.message.endswith("no uptake or secretion would make it grow")
    model = toy_cell()
    model.reactions.BIOMASS.bounds = -10.0, 0.0
    assert missing_uptakes(to_network(model)).exchanges == ()


def test_a_closed_secretion_that_growth_needs_is_named() -> None:
    medium = load_media()["physiological"]
    leaving = {f"EX_{name}_e": 1000.0 for name in ("h2o", "h", "lac__L")}
    keeps_in = medium.model_copy(update={"secretions": {name: Cap(value=most) for name, most in leaving.items()}})
    assert str(missing_uptakes(keeps_in.apply(load_network()))) == "missing: secretion of EX_co2_e"


def test_without_time_it_names_what_is_missing_at_least() -> None:
    assert re.fullmatch(r"missing: at least EX_\S+", str(missing_uptakes(to_network(starved()), time_limit_s=0.0)))


def test_a_drain_that_a_medium_closed_is_named() -> None:
    path = Path(cobra.__file__).parent / "data" / "iJO1366.xml.gz"
    missing = missing_uptakes(apply_medium(load_network(path), "physiological"))
    assert missing.complete
    assert {name for name in missing.exchanges if not name.startswith("EX_")} == {"DM_mththf_c"}


def test_human_gem_grows_on_hams_medium_and_not_without_what_is_named(human_gem_path: Path) -> None:
    network = load_network(human_gem_path)
    assert grows(apply_medium(network, "hams"))
    fed = apply_medium(network, "human_minimal")
    assert not grows(fed)
    missing = missing_uptakes(fed)
    assert missing is not None
    assert "EX_lipoate_e" in missing.exchanges
    own = [network.find_reaction(name) for name in missing.exchanges]
    assert grows(fed, tuple(name for name in own if name is not None))
