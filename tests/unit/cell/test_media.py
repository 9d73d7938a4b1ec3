"""Media: what leaves, and the oxygen budget, which is counted once and survives files, compression and insertions."""

from pathlib import Path

import cobra
import numpy as np
import pytest

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.compress import compress
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.core import core_model, extract_core
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.exchanges import growth_products
from redox_balancer.cell.ledgers import OXYGEN_BUDGET, add_ledgers, oxygen_taken
from redox_balancer.cell.media import Cap, Medium, load_media
from redox_balancer.cell.models import load_model, load_network, save_model, to_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.probes import Free, free_fluxes
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import load_library
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.designer.model import designed_cell, largest_capacity, largest_growth
from refusals import refused
from toy_cell import UPTAKES, growth_of, toy_cell

CHAIN = {
    "CHAIN": "nadh_c + 2 ficytC_c + 3.5 h_c + 2.5 adp_c + 2.5 pi_c --> nad_c + 2 focytC_c + 2.5 atp_c + 2.5 h2o_c",
    "COX": "4 focytC_c + o2_c + 4 h_c --> 4 ficytC_c + 2 h2o_c",
}
OTHERS = {
    "NOX": "2 nadh_c + 2 h_c + o2_c --> 2 nad_c + 2 h2o_c",
    "ROX": "nad_c + h2o_c <-- nadh_c + h_c + 0.5 o2_c",
    "CAT": "2 nad_c + 2 h2o_c --> 2 nadh_c + 2 h_c + o2_c",
}


def cell(**equations: str) -> cobra.Model:
    """The toy cell, whose RESP takes oxygen without cytochrome c, and cytochrome c oxidase."""
    model = toy_cell()
    for name, equation in (CHAIN | equations).items():
        reaction = cobra.Reaction(name)
        model.add_reactions([reaction])
        reaction.build_reaction_from_string(equation, verbose=False)
    for metabolite in model.metabolites:
        metabolite.compartment = metabolite.id[-1]
    return model


def medium(budget: float | None, oxygen: float = 1.0) -> Medium:
    uptakes = {f"EX_{species}_e": uptake for species, uptake in (UPTAKES | {"o2": oxygen, "glc__D": 0.5}).items()}
    return Medium(id="mine", description="", source="a test", uptakes=uptakes, oxygen_budget=budget)


@pytest.mark.parametrize("ways", [{"EX_bm_e": "bm_c --> "}, {"BMt": "bm_c --> bm_e", "EX_bm_e": "bm_e --> "}])
def test_the_biomass_leaves_a_cell_whose_secretions_are_limited(ways: dict[str, str]) -> None:
    model = cell(**ways)
    model.reactions.BIOMASS.add_metabolites({model.metabolites.bm_c: 1.0})
    limited = medium(None).model_copy(update={"secretions": load_media()["culture"].secretions})
    assert growth_of(limited.apply(to_network(model))) == pytest.approx(growth_of(limited.apply(to_network(cell()))))
    assert growth_products(to_network(model)) == {"bm_c", "bm_e"} & {m.id for m in model.metabolites}


def test_all_that_takes_oxygen_counts_but_cytochrome_c_oxidase_and_transport() -> None:
    assert oxygen_taken(to_network(cell(**OTHERS))) == {"RESP": 0.5, "NOX": 1.0, "ROX": -0.5}


def test_without_a_known_cytochrome_c_oxidase_the_budget_is_refused() -> None:
    with refused("no cytochrome c oxidase", settings=("medium",)):
        medium(0.1).apply(to_network(toy_cell()))


def test_the_budget_binds_and_is_applied_once() -> None:
    network = to_network(cell()).with_bounds({"CHAIN": (0.0, 0.0)})  # what is left is RESP
    grown = [growth_of(medium(budget).apply(network)) for budget in (None, 1.0, 0.5, 0.0)]
    assert grown[0] == grown[1] > grown[2] > grown[3]
    fed = medium(0.5).apply(network)
    again = medium(0.5).apply(fed)
    assert (again.reactions, again.metabolites) == (fed.reactions, fed.metabolites)
    for array in ("data", "indices", "indptr", "lower", "upper"):
        np.testing.assert_array_equal(getattr(again, array), getattr(fed, array))
    assert growth_of(medium(None).apply(fed)) == pytest.approx(grown[0])
    assert growth_of(compress(fed, [])) == pytest.approx(grown[2])


def test_growth_costs_the_atp_that_the_medium_says_and_it_is_counted_once(core: Network) -> None:
    physiological = load_media()["physiological"]
    formed = core.stoichiometry_of(core.objective)["adp_c"]
    costly = physiological.model_copy(update={"growth_energy": Cap(value=formed + 100.0)})
    fed = costly.apply(core)
    assert growth_of(costly.apply(fed)) == growth_of(fed) < 0.9 * growth_of(physiological.apply(core))
    # The same by hand: growth takes its ATP itself.
    entries = {"atp_c": -100.0, "h2o_c": -100.0, "adp_c": 100.0, "pi_c": 100.0, "h_c": 100.0}
    for metabolite, amount in core.stoichiometry_of(core.objective).items():
        entries[metabolite] = entries.get(metabolite, 0.0) + amount
    by_hand = physiological.apply(core).with_columns([Column("GROWTH", entries, 0.0, 1000.0)])
    by_hand = by_hand.with_bounds({core.objective: (0.0, 0.0)}).with_objective("GROWTH")
    assert growth_of(fed) == pytest.approx(growth_of(by_hand))
    assert imbalanced_reactions(fed) == imbalanced_reactions(core)
    assert growth_of(compress(fed, [])) == pytest.approx(growth_of(fed))
    cheap = physiological.model_copy(update={"growth_energy": Cap(value=0.5 * formed)})
    assert cheap.apply(core).reactions == core.reactions
    # A core that carries the cost of one medium gets that of another, in its file, too.
    written = core_model(load_model(core_json()).model, fed)
    for other in (cheap, physiological, costly.varied("growth_energy", 0.8)):
        again = other.apply(fed)
        assert growth_of(again) == pytest.approx(growth_of(other.apply(core)))
        add_ledgers(written, again)
        assert growth_of(written) == pytest.approx(growth_of(again))


@pytest.mark.parametrize("suffix", [".xml", ".json", ".mat", ".yml"])
def test_a_core_written_with_its_budget_has_it_when_read_again(suffix: str, tmp_path: Path) -> None:
    model = cell(NOX=OTHERS["NOX"])
    model.reactions.CHAIN.bounds = model.reactions.COX.bounds = 0.0, 0.0
    fed = medium(0.25).apply(to_network(model))
    core = extract_core(fed, []).network
    save_model(core_model(model, core), tmp_path / f"core{suffix}")
    read = load_network(tmp_path / f"core{suffix}")
    assert set(read.reactions) == set(core.reactions)
    assert growth_of(read) == pytest.approx(growth_of(fed))
    assert growth_of(medium(0.5).apply(read)) == pytest.approx(growth_of(medium(0.5).apply(fed)))
    assert medium(0.5).apply(read).metabolites == read.metabolites
    # Nothing of it is an exchange or a sink, and nothing that is free is hidden behind it.
    assert OXYGEN_BUDGET not in read.boundary
    assert imbalanced_reactions(read) == {}
    assert any(flux > 0 for probe, flux in free_fluxes(read).items() if probe.free is Free.OXIDATION)


def test_an_inserted_oxidase_is_exempt_and_one_that_the_cell_has_is_recognised() -> None:
    healthy = load_conditions()["healthy"]
    model = cell()
    space = DesignSpace.build(medium(0.0, oxygen=10.0).apply(to_network(model)), load_library(), [healthy])
    position = next(at for at, one in enumerate(space.placements) if one.id == "LBNOX_c")
    construct = Construct.empty(len(space.placements)).place(position, len(space.levels) - 1)
    with Evaluator(space, exact_check=True) as evaluator:
        outcome, floor = evaluator.evaluate(construct, healthy), evaluator.reference(healthy).floor
    assert outcome.capacity > 0
    designed = designed_cell(model, space, construct, healthy, floor=floor)
    assert largest_growth(designed) == pytest.approx(outcome.growth, abs=1e-7)
    assert largest_capacity(designed, outcome.growth) == pytest.approx(outcome.capacity, abs=1e-6)
    native = medium(0.5).apply(to_network(cell(ROX=OTHERS["ROX"])))
    assert "LBNOX_c" in {entry.id for entry in DesignSpace.build(native, load_library(), [healthy]).excluded}


def test_a_medium_names_its_caps_and_varies_one_at_a_time() -> None:
    culture = load_media()["culture"]
    assert {"DM_atp_c_", "oxygen_budget", "EX_lac__L_e", "EX_ac_e"} <= culture.caps.keys()
    assert "EX_co2_e" not in culture.caps
    assert all(cap.source for cap in culture.caps.values())
    assert culture.caps["oxygen_budget"].assumed
    assert culture.caps["EX_ac_e"].assumed
    for name, cap in culture.caps.items():
        varied = culture.varied(name, 2.0)
        changed = {other for other in culture.caps if varied.caps[other].value != culture.caps[other].value}
        assert changed == {name}
        assert varied.caps[name].value == 2.0 * cap.value
    with refused("no cap 'EX_co2_e'"):
        culture.varied("EX_co2_e", 2.0)
