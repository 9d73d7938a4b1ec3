"""Fit of a library to a model: missing ids, balance, duplicates and cycles, in BiGG and in Metabolic Atlas ids."""

from dataclasses import replace

import pytest

from metabolic_atlas import metabolic_atlas
from redox_balancer.cell.choice import offered_conditions
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.cycles import closed_network
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.models import load_network, to_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import Enzyme, Site, load_library
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.fitting import Fit, fit
from redox_balancer.design.formulation import nadph_weights
from redox_balancer.design.placement import Reason
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError

LDH = "pyr_c + nadh_c + h_c <=> lac__L_c + nad_c"


def library(**reactions: str) -> dict[str, Enzyme]:
    """Enzymes by id with one reaction each, all else as LbNOX has it."""
    pattern = load_library()["LBNOX"].model_copy(update={"km_mm": None})
    return {
        name: pattern.model_copy(update={"id": name, "sites": (Site(compartment="c", reaction=reaction),)})
        for name, reaction in reactions.items()
    }


def fitted(network: Network, limited: tuple[str, ...] = ("LDH_L",), **reactions: str) -> Fit:
    return fit(library(**reactions), network, [1e-3], 1.0, limited=limited)


def excluded(found: Fit) -> dict[str, Reason]:
    return {entry.id: entry.reason for entry in found.excluded}


def test_what_the_model_lacks_is_named(core: Network) -> None:
    found = fitted(core, A="nadh_c + ubiquinone_c --> nad_c + ubiquinol_c", B=LDH)
    assert excluded(found) == {"A_c": Reason.MISSING}
    assert found.excluded[0].detail == "the model has no ubiquinone_c, ubiquinol_c"


def test_imbalance_is_counted_in_the_models_own_formulas(core: Network) -> None:
    oxidase = "nadh_c + h_c + 0.5 o2_c --> nad_c + h2o_c"
    found = fitted(core, A="nadh_c + h_c + o2_c --> nad_c + h2o_c", B=oxidase)
    assert excluded(found) == {"A_c": Reason.UNBALANCED}
    assert found.excluded[0].detail.endswith("O -1")
    (charged,) = fitted(core, A="nadh_c + 0.5 o2_c --> nad_c + h2o_c", B=oxidase).excluded
    assert charged.detail.endswith("H +1, charge +1")
    odd = replace(core, formulas={**core.formulas, "nadh_c": "C21H28N7O14P2"})
    assert excluded(fitted(odd, B=oxidase, C=LDH.replace("nadh_c", "nadph_c").replace("nad_c", "nadp_c")))["B_c"] is (
        Reason.UNBALANCED
    )
    unknown = replace(core, formulas={m: f for m, f in core.formulas.items() if m != "nadh_c"})
    assert excluded(fitted(unknown, B=oxidase)) == {}


@pytest.mark.parametrize(
    ("reaction", "factor"),
    [
        (LDH, 1.0),
        ("lac__L_c + nad_c <=> pyr_c + nadh_c + h_c", 1.0),
        ("2 pyr_c + 2 nadh_c + 2 h_c --> 2 lac__L_c + 2 nad_c", 2.0),
    ],
)
def test_a_duplicate_of_a_native_reaction_raises_its_limit(core: Network, reaction: str, factor: float) -> None:
    (placement,) = fitted(core, A=reaction).placements
    assert (placement.reaction, placement.foreign) == ("LDH_L", False)
    enzyme = library(A=reaction)["A"]
    # One turn of twice the reaction is two turns of the native one.
    assert placement.caps[0] == pytest.approx(factor * enzyme.capacity(1e-3, 1.0))


def test_more_of_an_enzyme_that_limits_nothing_is_idle(core: Network) -> None:
    found = fitted(core, (), A=LDH, B="nadh_c + h_c + 0.5 o2_c --> nad_c + h2o_c")
    assert excluded(found) == {"A_c": Reason.IDLE}
    assert "LDH_L is not limited" in found.excluded[0].detail


def test_foreign_chemistry_that_cannot_run_is_idle(core: Network) -> None:
    found = fitted(core, A="nad_c + atp_c --> nadp_c + adp_c + h_c", B=LDH)
    assert excluded(found) == {"A_c": Reason.IDLE}


def test_a_cycle_is_refused_with_its_reactions(core: Network) -> None:
    """A transhydrogenase cycles with the two malic enzymes of the matrix once one of them runs both ways."""
    opened = core.with_bounds({"ME1m": (-1000.0, 1000.0)})
    transhydrogenase = "nadph_m + nad_m <=> nadp_m + nadh_m"
    assert excluded(fitted(core, A=transhydrogenase)) == {}
    found = fitted(opened, A=transhydrogenase, B=LDH)
    (entry,) = found.excluded
    assert entry.reason is Reason.CYCLE
    assert entry.cycle == ("ME1m", "ME2m", "SINK_A_c")
    assert entry.detail == "closes an infeasible cycle with ME1m, ME2m"


def test_a_cycle_through_two_insertions_is_broken_at_the_later(core: Network) -> None:
    there, back = "nadph_c + nad_c --> nadp_c + nadh_c", "nadh_c + nadp_c --> nad_c + nadph_c"
    for only in (there, back):
        assert excluded(fitted(core, A=only)) == {}
    found = fitted(core, A=there, B=LDH, C=back)
    (entry,) = found.excluded
    assert (entry.id, entry.reason, entry.cycle) == ("C_c", Reason.CYCLE, ("SINK_A_c", "SINK_C_c"))
    assert [placement.id for placement in found.placements] == ["A_c", "B_c"]


def test_a_cycle_does_not_exclude_native_enzymes(core: Network) -> None:
    """A cycle through a merged enzyme's reaction is the fault of the foreign one that closes it."""
    opened = core.with_bounds({"ME1m": (-1000.0, 1000.0)})
    merged = {"Z": library(Z="mal__L_m + nad_m --> co2_m + nadh_m + pyr_m")["Z"]}
    found = fit(library(A="nadph_m + nad_m <=> nadp_m + nadh_m") | merged, opened, [1e-3], 1.0, limited=("ME1m",))
    assert excluded(found) == {"A_c": Reason.CYCLE}
    assert [placement.id for placement in found.placements] == ["Z_c"]


def test_an_irreversible_native_reaction_reversed_is_a_cycle_and_no_duplicate(core: Network) -> None:
    found = fitted(core, A="nad_m + q10h2_m + 4 h_i --> nadh_m + q10_m + 5 h_m", B=LDH)
    (entry,) = found.excluded
    assert (entry.reason, entry.cycle) == (Reason.CYCLE, ("NADH2_u10mi", "SINK_A_c"))
    (same,) = fitted(core, ("NADH2_u10mi",), A="nadh_m + q10_m + 5 h_m --> nad_m + q10h2_m + 4 h_i").placements
    assert same.reaction == "NADH2_u10mi"


def test_a_second_copy_of_a_reversible_reaction_would_carry_any_flux(core: Network) -> None:
    """What merging avoids: the same column inserted by hand runs with everything closed."""
    closed = closed_network(core.with_columns([Column("TWIN", core.stoichiometry_of("MDH"), -1000.0, 1000.0)]))
    with FluxLP(closed, {"TWIN": 1.0}) as lp:
        assert lp.maximise().objective > 100.0


def test_of_placements_that_do_the_same_the_best_is_offered() -> None:
    every = Task(candidates="all").space()
    distinct = Task().space()
    dropped = {entry.id: entry for entry in distinct.excluded if entry.reason is Reason.DOMINATED}
    assert {p.id for p in every.placements} - {p.id for p in distinct.placements} == set(dropped)
    assert dropped["EFNOX_c"].detail == "LBNOX_c does the same with less protein"
    by_id = {p.id: p for p in every.placements}
    for entry in dropped.values():
        better = by_id[entry.detail.split()[0]]
        assert better.caps >= by_id[entry.id].caps
        assert better.enzyme.membrane == by_id[entry.id].enzyme.membrane


def test_the_package_library_fits_the_core(space: DesignSpace, core: Network) -> None:
    reactions = {placement.id: placement.reaction for placement in space.placements}
    assert reactions["LBNOX_c"] == "SINK_LBNOX_c"
    assert reactions["LDHA_c"] == "LDH_L"
    assert reactions["GPD2_m"] == "r0205"
    assert reactions["PNTAB_m"] == "THD1m"
    assert not any(p.reaction in core.reaction_index for p in space.placements if p.foreign)
    assert all(p.reaction in core.reaction_index for p in space.placements if not p.foreign)
    assert not {entry.reason for entry in space.excluded} & {Reason.CYCLE, Reason.UNBALANCED}


def test_a_library_of_which_nothing_fits_is_an_error(core: Network) -> None:
    with pytest.raises(RedoxError, match="nothing of the enzyme library") as caught:
        fitted(core, A="x_c --> y_c")
    assert "A_c: the model has no x_c, y_c" in caught.value.message


def test_metabolic_atlas_ids_give_the_same_design_space(space: DesignSpace) -> None:
    """The core in Human-GEM's ids: the same placements, the same cycles, the same value of a construct."""
    model, _, _ = metabolic_atlas(annotated=True)
    network = to_network(model)
    atlas = DesignSpace.build(network, load_library(), offered_conditions(load_conditions().values(), network)[0])
    own = DesignSpace.build(load_network(), load_library(), space.conditions)
    assert [p.id for p in atlas.placements] == [p.id for p in own.placements]
    assert [e.id for e in atlas.excluded] == [e.id for e in own.excluded]
    foreign = {p.id: p for p in atlas.placements if p.foreign}
    assert set(foreign["LBNOX_c"].stoichiometry) >= {"MAM02553c", "MAM02552c"}
    assert atlas.oxygen_uptake == own.oxygen_uptake
    assert nadph_weights(atlas) == nadph_weights(own)
    with Evaluator(atlas) as theirs, Evaluator(own) as ours:
        for position in range(0, len(own.placements), 3):
            for mine, other in zip(own.conditions, atlas.conditions, strict=True):
                construct = Construct.empty(len(own.placements)).place(position, 3)
                expected = ours.evaluate(construct, mine).value
                assert theirs.evaluate(construct, other).value == pytest.approx(expected, abs=1e-7)


def test_a_km_is_used_in_a_library_in_the_models_own_ids() -> None:
    """The cytosol's free NADH is found by its BiGG name, under any name in the library."""
    network = to_network(metabolic_atlas(annotated=True)[0])
    nadh, proton, oxygen, nad, water = map(network.find_metabolite, ("nadh_c", "h_c", "o2_c", "nad_c", "h2o_c"))
    assert nadh == "MAM02553c"
    lbnox = load_library()["LBNOX"]
    assert lbnox.km_mm is not None
    caps = []
    for reaction in (
        f"{nadh} + {proton} + 0.5 {oxygen} --> {nad} + {water}",
        "nadh_c + h_c + 0.5 o2_c --> nad_c + h2o_c",
    ):
        site = Site(compartment="c", reaction=reaction)
        (placement,) = fit({"LBNOX": lbnox.model_copy(update={"sites": (site,)})}, network, [1e-3], 0.5).placements
        caps.append(placement.caps)
    assert caps[0] == caps[1]
    unnamed = to_network(metabolic_atlas(annotated=False)[0])
    site = Site(compartment="c", reaction=f"{nadh} + {proton} + 0.5 {oxygen} --> {nad} + {water}")
    with pytest.raises(RedoxError, match="knows none of MAM02553c") as refused:
        fit({"LBNOX": lbnox.model_copy(update={"sites": (site,)})}, unnamed, [1e-3], 0.5)
    assert "nadh" in refused.value.hint


def test_a_cycle_in_metabolic_atlas_ids_names_their_reactions() -> None:
    model, _, reactions = metabolic_atlas(annotated=True)
    named = {name: own for own, name in reactions.items()}
    model.reactions.get_by_id(named["ME1m"]).bounds = (-1000.0, 1000.0)
    found = fitted(
        to_network(model), (named["LDH_L"],), A="nadph_m + nad_m <=> nadp_m + nadh_m", B="h_i --> h_m", C=LDH
    )
    entries = {entry.id: entry for entry in found.excluded}
    assert entries["A_c"].cycle == (named["ME1m"], named["ME2m"], "SINK_A_c")
    assert entries["B_c"].detail == f"native reaction {named['Htmi']} is not limited by its enzyme"
