"""The experiments on the embedded core: the page, what variation finds, and what a faulty model gets wrong."""

import re
from pathlib import Path

import pytest

from commands import redox_json
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.embedded import EXTENSION
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import Cap, Medium, load_media
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.probes import free_fluxes
from redox_balancer.cell.records import packaged
from redox_balancer.design.enzymes import load_native_capacities
from redox_balancer.evaluation.experiments import load_experiments
from redox_balancer.evaluation.validation import ExperimentResult, Standing, Validation, tally, validate
from redox_balancer.report.experiments import updated

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "experiments.md"
CORE = (DOCS / "human_redox_core.md").read_text()


@pytest.fixture(scope="module")
def core() -> Network:
    return load_network()


@pytest.fixture(scope="module")
def medium() -> Medium:
    return load_media()["physiological"]


@pytest.fixture(scope="module")
def found(core: Network, medium: Medium) -> Validation:
    return validate(core, medium, load_native_capacities(core))


@pytest.fixture(scope="module")
def extended(medium: Medium) -> Validation:
    core = load_network(curation=packaged(EXTENSION))
    return validate(core, medium, load_native_capacities(core), vary=True, extended=True)


def outcomes(validation: Validation) -> dict[str, list[str | None]]:
    return {
        each.experiment.id: [assay.verdict.finding.value if assay.verdict else None for assay in each.assays]
        for each in validation.results
    }


def test_the_file_names_only_what_exists() -> None:
    file, conditions = load_experiments(), load_conditions()
    assert sum(not experiment.extra for experiment in file.experiments.values()) == 14
    for experiment in file.experiments.values():
        for assay in experiment.assays:
            assert {*assay.medium, *assay.without, *assay.adds} <= conditions.keys()
            assert {*assay.blocks, *([assay.lost] if assay.lost else [])} <= file.blocks.keys()
    assert {miss.partition(":")[2] for miss in file.misses} <= file.experiments.keys()


def test_extra_experiments_are_counted_on_their_own(found: Validation) -> None:
    extra = [each for each in found.results if each.experiment.extra]
    assert sum(found.counts.values()) == len(found.results) - len(extra) == 14
    counted, _, beyond = tally(found.results).partition(". Beyond these, ")
    assert counted.startswith("14 experiments: ")
    assert beyond.startswith(f"{len(extra)} experiments: ")
    assert tally([each for each in found.results if not each.experiment.extra]) == counted


def test_the_page_shows_the_extended_core_as_it_is(extended: Validation) -> None:
    page = PAGE.read_text()
    assert updated(page, extended) == page


def test_every_miss_of_the_core_has_its_reason(found: Validation, extended: Validation) -> None:
    for each in (found, extended):
        wrong = [result for result in each.results if result.standing is Standing.WRONG]
        assert wrong
        assert [result.experiment.id for result in wrong if not result.reason] == []


def test_the_extension_expresses_more_and_leaves_the_rest(found: Validation, extended: Validation) -> None:
    """Without uridine nothing but that can come out otherwise; what the core expresses already has its verdict."""
    before, after = outcomes(found), outcomes(extended)
    known = {(name, place) for name, all_ in before.items() for place, each in enumerate(all_) if each}
    assert {at for at in known if after[at[0]][at[1]] != before[at[0]][at[1]]} == set()
    assert found.counts[Standing.NOT_EXPRESSED] + found.counts[Standing.PARTLY] == 8
    assert extended.counts[Standing.NOT_EXPRESSED] + extended.counts[Standing.PARTLY] == 3
    assert after["lbnox_without_uridine"] == ["0", "0"]
    assert after["aox"] == ["S", "S", "S"]


def test_the_extension_changes_nothing_else(core: Network, medium: Medium) -> None:
    extended = load_network(curation=packaged(EXTENSION))
    assert extended.reactions[: len(core.reactions)] == core.reactions
    changed = [r for r in core.reactions if extended.stoichiometry_of(r) != core.stoichiometry_of(r)]
    assert changed == [core.objective]
    assert [extended.bounds_of(r) for r in core.reactions] == [core.bounds_of(r) for r in core.reactions]
    assert max(free_fluxes(extended).values()) < 1e-9
    growths = []
    for network in (core, extended):
        with FluxLP(medium.apply(network)) as lp:
            growths.append(lp.maximise().objective)
    assert growths[1] == pytest.approx(growths[0], rel=1e-6)


def opened(core: Network, what: str) -> Network:
    """The core with what a row of docs/human_redox_core.md opens."""
    for step in re.findall(r"`(.+?)`", what):
        if "-->" in step:
            core = core.with_columns([Column("ADDED", parse_equation(step), 0.0, 1000.0)])
        else:
            core = core.with_bounds({step: (-1000.0, 1000.0)})
    return core


@pytest.mark.parametrize("row", re.findall(r"^\| (nothing|.*`) ?(?:both ways)? \| (0\..*) \|$", CORE, re.MULTILINE))
def test_what_the_core_leaves_out(core: Network, medium: Medium, row: tuple[str, str]) -> None:
    *growths, tallied, _ = row[1].split(" | ")
    network = opened(core, row[0])
    validation = validate(network, medium, load_native_capacities(core))
    assays = {each.experiment.id: [dict(assay.figures) for assay in each.assays] for each in validation.results}
    one, _, three, _ = assays["lbnox"]
    (losses,) = assays["mdh1_ldha"]
    found = [one["defect"], three["defect"], three["treated"], losses["MDH1 lost"], losses["both"]]
    assert found == pytest.approx([float(growth) for growth in growths], abs=5.1e-5)
    assert [losses["intact"], losses["LDHA blocked"]] == pytest.approx([0.0844, 0.0844], abs=5.1e-5)
    assert tallied == f"{validation.counts[Standing.RIGHT]}, {validation.counts[Standing.WRONG]}"
    assert max(free_fluxes(network).values()) < 1e-9


def test_the_curation_that_the_page_of_the_core_shows(core: Network, tmp_path: Path) -> None:
    file = tmp_path / "idh.toml"
    (text,) = re.findall(r"```toml\n(.+?)```", CORE, re.DOTALL)
    file.write_text(text)
    network = load_network(curation=file)
    both = opened(core, "`ICDHy`, `ICDHyrm`")
    assert [network.bounds_of(reaction) for reaction in core.reactions] == [both.bounds_of(r) for r in core.reactions]


def test_what_flips_is_what_other_media_give(core: Network, medium: Medium) -> None:
    # Half of this energy of growth is less than the biomass reaction has: the model is another one.
    medium = medium.model_copy(update={"growth_energy": Cap(value=40.0)})
    found = validate(core, medium, load_native_capacities(core), vary=True)
    before = outcomes(found)
    assert {flip.cap for flip in found.flips or ()} == set(medium.caps)
    for cap in medium.caps:
        for factor in (0.5, 2.0):
            after = outcomes(validate(core, medium.varied(cap, factor), load_native_capacities(core)))
            flipped = {flip.experiment for flip in found.flips or () if (flip.cap, flip.factor) == (cap, factor)}
            assert {name for name in before if before[name] != after[name]} == flipped


@pytest.mark.parametrize(
    ("equation", "experiment", "expected"),
    [
        ("nadh_c + nadp_c <=> nad_c + nadph_c", "tpnox", ["neither", "selective"]),
        ("q10h2_m + 0.5 o2_m --> q10_m + h2o_m", "aox", ["0", None, "0"]),
        ("uri_e <=>", "lbnox_without_uridine", ["neither", "0"]),
    ],
)
def test_a_faulty_core_comes_out_otherwise(
    core: Network, medium: Medium, equation: str, experiment: str, expected: list[str | None]
) -> None:
    column = Column("EX_uri_e" if equation == "uri_e <=>" else "FAULT", parse_equation(equation), -1000.0, 1000.0)
    faulty = core.with_columns([column], new_metabolites=["uri_e"])
    assert outcomes(validate(faulty, medium, load_native_capacities(core)))[experiment] == expected


def test_an_experiment_is_right_only_if_all_of_it_is_expressed(found: Validation) -> None:
    standings = {each.experiment.id: each.standing for each in found.results}
    assert standings["aox"] is Standing.PARTLY
    assert standings["uridine_pyruvate"] is Standing.NOT_EXPRESSED
    assert standings["ndi1"] is Standing.RIGHT
    (aox,) = (each for each in found.results if each.experiment.id == "aox")
    assert ExperimentResult(aox.experiment, aox.assays[:1]).standing is Standing.RIGHT


def test_the_command_prints_json_and_draws(tmp_path: Path, found: Validation, extended: Validation) -> None:
    answer = redox_json("validate", "--figure", tmp_path / "figure.svg", "--page", tmp_path / "page.md")
    assert answer["counts"] == {standing.value: count for standing, count in extended.counts.items()}
    assert "<svg" in (tmp_path / "figure.svg").read_text()
    assert "## Results: human_redox_core, extended" in (tmp_path / "page.md").read_text()
    published = redox_json("validate", "--as-published")
    assert (published["model"], published["experiments"]) == ("human_redox_core", found.data()["experiments"])
