"""The experiments on the embedded core with energies and ratios, without a cap on lactate: see docs/ratio.md."""

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from commands import redox_json
from redox_balancer.cell.conditions import load_conditions, pick_condition
from redox_balancer.cell.embedded import EXTENSION
from redox_balancer.cell.energetic_directions import growth_by_ratios, with_energetic_directions
from redox_balancer.cell.energies import thermodynamics_of
from redox_balancer.cell.media import Cap, Medium, load_media
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Network
from redox_balancer.cell.ratio_capacity import GrowthAtRatio, HeldByMedium
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cell.records import packaged
from redox_balancer.design.enzymes import load_native_capacities
from redox_balancer.design.formulation import at_natural_abundance
from redox_balancer.evaluation import validation, verdicts
from redox_balancer.evaluation.experiments import load_experiments
from redox_balancer.evaluation.laboratory import Cell, Laboratory

ANTIMYCIN = Cell(("complex III",), ("uridine",))
AS_IN_CELLS = {"LBNOX_c": "S", "LBNOX_m": "S", "NDI1_m": "0", "AOX_m": "S", "LOXCAT_e": "S", "pyruvate": "S"}
AS_IN_CELLS |= {"alpha_ketobutyrate": "S"}
FOUND = AS_IN_CELLS | {"LBNOX_m": "0"}
"""At the potential that hepatocytes without oxygen have ATP synthase does not run backwards: see docs/ratio.md."""


@pytest.fixture(scope="module")
def core() -> Network:
    return load_network(curation=packaged(EXTENSION))


def rescues(core: Network, medium: Medium, *, ratios: bool = True) -> dict[str, str]:
    """Verdicts on treatments of a cell with complex III closed, by the rule of all experiments."""
    capacities = load_native_capacities(core) | HeldByMedium.of(core).capacities
    cell = at_natural_abundance(medium.apply(core), capacities)
    assert cell.bounds_of("EX_lac__L_e")[1] == 1000.0  # lactate has no cap
    with Laboratory(cell, load_experiments(), ratios=ratios) as laboratory:
        intact, defect = laboratory.growth(Cell(conditions=("uridine",))), laboratory.growth(ANTIMYCIN)
        treated = {
            name: laboratory.growth(
                ANTIMYCIN._replace(conditions=("uridine", name))
                if name in load_conditions()
                else ANTIMYCIN._replace(enzymes=(name,))
            )
            for name in AS_IN_CELLS
        }
    return {name: verdicts.of_rescue(intact, defect, growth).finding.value for name, growth in treated.items()}


def test_a_closed_complex_iii_is_rescued_as_in_cells_without_a_cap_on_lactate(core: Network) -> None:
    assert rescues(core, load_media()["glycolytic"]) == FOUND


@pytest.mark.parametrize(
    ("exchange", "uptake", "other"),
    [
        ("EX_glc__D_e", 0.8, {}),
        ("EX_glc__D_e", 0.64, {name: "neither" for name in FOUND if FOUND[name] == "S" and name != "AOX_m"}),
        ("EX_gln__L_e", 0.39, {}),
        ("EX_nh4_e", 0.1, {}),
    ],
)
def test_what_the_rescue_hangs_on(core: Network, exchange: str, uptake: float, other: dict[str, str]) -> None:
    """Glucose of 0.64 leaves too little ATP to win back 10 %; the assumed uptake of ammonium may be a tenth."""
    medium = load_media()["glycolytic"]
    fed = medium.model_copy(update={"uptakes": medium.uptakes | {exchange: Cap(value=uptake)}})
    assert rescues(core, fed) == FOUND | other


def test_energies_and_not_stoichiometry_stop_the_cell(core: Network) -> None:
    """With ATP synthase backwards it has a way to grow, which takes ATP into the matrix against the potential."""
    network = at_natural_abundance(load_media()["glycolytic"].apply(core), load_native_capacities(core))
    with Laboratory(with_energetic_directions(network), load_experiments()) as laboratory:
        assert laboratory.growth(ANTIMYCIN) > 0.01
    with Laboratory(network, load_experiments(), ratios=True) as laboratory:
        assert laboratory.growth(ANTIMYCIN) == 0.0
        assert laboratory.growth(Cell()) == pytest.approx(0.0844, abs=1e-4)


def test_the_most_reduced_ratio_that_was_measured_does_not_stop_a_rescued_cell(core: Network) -> None:
    """Whole cells have lactate/pyruvate of up to 85."""
    capacities = load_native_capacities(core) | HeldByMedium.of(core).capacities
    network = at_natural_abundance(load_media()["glycolytic"].apply(core), capacities)
    network = pick_condition(load_conditions(), "antimycin+uridine+alpha_ketobutyrate").apply(network)
    with Laboratory(network, load_experiments()) as laboratory:
        growth = laboratory.growth(Cell())
    with GrowthAtRatio(thermodynamics_of(network), growth) as cell:
        ratio = Ratio("nad_c", "nadh_c")
        assert cell.at({ratio: 1 / 9.566e-5 / 85.0}) == pytest.approx(growth, rel=1e-3)
        assert cell.at({ratio: 1.0}) == 0.0


def test_the_command_scores_with_ratios_and_says_so() -> None:
    medium = load_media()["glycolytic"]
    core = load_network(curation=packaged(EXTENSION))
    calls, validate = list[Any](), validation.validate

    def recorded(*given: Any, **how: Any) -> validation.Validation:
        calls.append((given, how, validate(*given, **how)))
        return calls[-1][-1]

    with mock.patch.object(validation, "validate", recorded):  # in place of another ten seconds of it
        printed = redox_json("validate", "--ratios", "--draws", "2", "--medium", "glycolytic")
    (((network, *given), how, found),) = calls
    assert printed == found.data()
    assert (network.reactions, given) == (core.reactions, [medium, load_native_capacities(core)])
    assert (how["ratios"], how["draws"], how["extended"]) == (True, 2, True)
    assert printed["model"] == "human_redox_core, extended, with ratios"
    by_id = {each["id"]: [assay["predicted"] for assay in each["assays"]] for each in printed["experiments"]}
    assert by_id["lbnox"] == ["no defect", "no defect", "S", "0"]
    assert by_id["uridine_pyruvate"] == ["0", "0", "S"]
    assert by_id["lbnox_without_uridine"] == ["0", "0"]
    assert by_id["ndi1_complex_iii"] == ["0"]
    held = {each["id"]: [assay["held"] for assay in each["assays"]] for each in printed["experiments"]}
    assert held["ndi1_complex_iii"] == [1.0]
    assert held["lbnox"][:3] == [0.0, 0.0, 1.0]
    assert held["tpnox"] == [None, None]


def test_serine_decides_where_its_precursor_does_not_fall_as_low(core: Network) -> None:
    """From 3 uM 3-phosphohydroxypyruvate, complex I hurts, and LbNOX rescues, through the ratio: docs/ratio.md."""
    capacities = load_native_capacities(core) | HeldByMedium.of(core).capacities
    network = at_natural_abundance(load_media()["glycolytic"].apply(core), capacities)
    ranges = {"lac__L_c": (5e-3, 2e-2), "pyr_c": (5e-5, 3e-4), "3php_c": (3e-6, 1e-3)}
    cells = Cell(), Cell(("complex I",)), Cell(("complex I",), (), ("LBNOX_c",))
    with Laboratory(network, load_experiments(), ratios=True, ranges=ranges) as laboratory:
        found = [laboratory.growth(cell._replace(conditions=("uridine",))) for cell in cells]
    assert found == pytest.approx([0.0844, 0.0205, 0.0537], abs=1e-4)


def test_drawn_energies_are_those_of_a_cell_that_has_them(core: Network) -> None:
    capacities = load_native_capacities(core)
    network = at_natural_abundance(load_media()["glycolytic"].apply(core), capacities)
    growths = growth_by_ratios(network, 0.08445, draws=1)
    best = 0.0
    for respires in (True, False):
        known = thermodynamics_of(network, respires=respires)
        drawn = replace(known, energies=known.drawn(np.random.default_rng(0)))
        with GrowthAtRatio(drawn, 0.08445) as cell:
            optima = [cell.optimum(ratio) for ratio in cell.ratios if ratio.denominator.startswith("nadh")]
        best = max(best, min(found.growth if found else 0.0 for found in optima))
    assert growths.shape == (2,)
    assert growths[1] == pytest.approx(best, rel=1e-6)
