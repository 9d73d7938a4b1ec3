"""Values, searches and designs from Python agree with each other, regardless of the origin of the model."""

import re
from pathlib import Path

import cobra
import pytest
from cobra.io import load_json_model

import redox_balancer as rb
from redox_balancer.cell.cobrapy import quiet_cobra
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.models import save_model

TEXT = "LBNOX_c 0.1 % + AOX_m 0.03 %"
CONDITION = "complex_iii_closed"


def test_a_file_a_model_and_the_embedded_core_give_the_same_value(tmp_path: Path) -> None:
    model = rb.load_model()
    save_model(model, tmp_path / "core.xml.gz")
    tasks = [rb.Task(), rb.Task(model="embedded"), rb.Task(model=model), rb.Task(model=str(core_json()))]
    values = [rb.evaluate(task, TEXT, CONDITION).value for task in tasks]
    # Native capacities come with the core of the package, by its id.
    assert values == pytest.approx([values[0]] * len(values), rel=1e-9)
    from_sbml = rb.evaluate(rb.Task(model=tmp_path / "core.xml.gz"), TEXT, CONDITION)
    assert from_sbml.value == pytest.approx(values[0], rel=1e-6)


def test_a_model_with_changed_bounds_has_another_value_and_stays_as_it_is() -> None:
    model = rb.load_model()
    model.reactions.EX_o2_e.lower_bound = -0.1
    changed = rb.Task(model=model)
    before = {reaction.id: reaction.bounds for reaction in model.reactions}
    short = rb.evaluate(changed, TEXT, "healthy")
    assert short.growth_without < rb.evaluate(rb.Task(), TEXT, "healthy").growth_without
    design = rb.design(changed, "healthy", construct=TEXT)
    assert design.model is not model
    assert design.analysis.growth == pytest.approx(short.growth, rel=1e-6)
    assert {reaction.id: reaction.bounds for reaction in model.reactions} == before


def test_known_charge_faults_of_a_model_in_memory_are_repaired() -> None:
    with quiet_cobra():
        model = load_json_model(str(core_json()))
    for metabolite in model.metabolites:
        if metabolite.id.startswith("h_"):
            metabolite.charge = 0
    whole, faulty = rb.Task().space(), rb.Task(model=model).space()
    assert [each.id for each in faulty.placements] == [each.id for each in whole.placements]
    assert model.metabolites.h_c.charge == 0


def test_conditions_and_constructs_make_a_table() -> None:
    table = rb.evaluate_all(rb.Task(conditions="healthy,hypoxia"), [TEXT, "NDI1_m 0.03 %"])
    frame = table.to_frame()
    assert list(frame["condition"]) == ["healthy", "hypoxia"] * 2
    assert list(frame["construct"]) == [TEXT] * 2 + ["NDI1_m 0.03 %"] * 2
    assert frame["value"].tolist() == [evaluation.value for evaluation in table]
    alone = rb.evaluate(rb.Task(conditions="healthy,hypoxia"), "NDI1_m 0.03 %", "hypoxia")
    assert alone.value == pytest.approx(table[3].value, rel=1e-9)


def test_two_conditions_at_once() -> None:
    both = rb.evaluate(rb.Task(), TEXT, "hypoxia+mdh1_deficiency")
    joint = rb.evaluate(rb.Task(conditions=["hypoxia+mdh1_deficiency", "healthy"]), TEXT, "hypoxia+mdh1_deficiency")
    assert both.condition == "hypoxia+mdh1_deficiency"
    assert both.value == pytest.approx(joint.value, rel=1e-9)
    assert both.growth_without <= rb.evaluate(rb.Task(), TEXT, "hypoxia").growth_without


def test_a_value_follows_the_task() -> None:
    plain, guaranteed = (
        rb.evaluate(rb.Task(reward=reward), "LBNOX_c 0.1 %", CONDITION).value for reward in ("capacity", "guaranteed")
    )
    assert guaranteed < plain
    over = rb.evaluate(rb.Task(), "LBNOX_c 1 %", CONDITION)
    assert not over.within_budget
    assert over.protein == pytest.approx(0.01)


@pytest.mark.parametrize("method", ["random", "greedy", "evolutionary", "milp", "exhaustive"])
def test_every_method_finds_a_construct_of_the_value_it_reports(method: str) -> None:
    task = rb.Task(conditions=CONDITION, placements=1)
    found = rb.search(task, CONDITION, method, seed=1, evaluations=200, top=2)  # type: ignore[arg-type]
    again = rb.evaluate(task, found.construct, CONDITION)
    assert found.value == pytest.approx(again.value, rel=1e-9)
    assert found.value <= 0.5823
    assert found.evaluations >= 1
    if method in ("greedy", "milp", "exhaustive"):
        assert str(found.construct) == "LBNOX_c 0.1 %"
    if method == "milp":
        assert found.bound == pytest.approx(found.value, rel=1e-6)
    assert len(found.to_frame()) == (2 if method == "exhaustive" else 1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rb.evaluate(rb.Task(), "LBNOX_z 0.1 %"), "LBNOX_z"),
        (lambda: rb.evaluate(rb.Task(), TEXT, "fever"), "fever"),
        (lambda: rb.search(rb.Task(), "hypoxia", "magic"), "magic"),  # type: ignore[arg-type]
        (lambda: rb.Task(medium="tea").space(), "tea"),
        (lambda: rb.Task(model=3), "cobra.Model"),
        (lambda: rb.Task(model="nowhere.json").space(), "nowhere.json"),
        (lambda: rb.Task(colour="red"), "colour"),
        (lambda: rb.design(rb.Task(), "hypoxia", seconds=-1.0), "seconds is -1.0"),
        (lambda: rb.load_run("nowhere"), "nowhere"),
        (lambda: rb.evaluate(rb.load_model(), TEXT), "a Task is expected, not an object of type Model"),  # type: ignore[arg-type]
        (lambda: rb.design("experiments/first", construct=TEXT), "type str"),  # type: ignore[arg-type]
        (lambda: rb.search("core.json"), "type str"),  # type: ignore[arg-type]
        (lambda: rb.load_model(rb.load_model()), "a model file is expected"),  # type: ignore[arg-type]
        (lambda: rb.evaluate(rb.Task(), None), "None"),  # type: ignore[arg-type]
        (lambda: rb.evaluate(rb.Task(), ["LBNOX_c 0.1 %"]), "LBNOX_c 0.1 %"),  # type: ignore[list-item]
        (lambda: rb.evaluate(rb.Task(), {"LBNOX_c": "0.1 %"}), "0.1 %"),  # type: ignore[dict-item]
        (lambda: rb.search(rb.Task(), method="exhaustive", top=0), "top is 0"),
        (lambda: rb.search(rb.Task(), method="random", seed=-1), "seed is -1"),
    ],
)
def test_bad_input_is_a_redox_error_with_a_hint_in_terms_of_arguments(call: object, said: str) -> None:
    with pytest.raises(rb.RedoxError, match=said) as refused:
        call()  # type: ignore[operator]
    assert refused.value.hint
    assert not re.search(r"--\w|\bredox ", refused.value.hint)
    assert len(str(refused.value)) < 150


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("", "Expecting value"),
        ("[]", "no task or environment"),
        ('{"task": {}}', "no task or environment"),
        ('{"task": 3, "environment": {}}', "no task or environment"),
        ('{"task": {"colour": "red"}, "environment": {}}', "no setting colour"),
    ],
)
def test_a_run_whose_record_is_damaged_is_refused_in_one_line(record: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(record)
    with pytest.raises(rb.RedoxError, match=f"config.json is damaged: .*{said}") as refused:
        rb.load_run(tmp_path)
    assert "\n" not in refused.value.message


def test_what_is_shown_of_an_object_fits_on_a_screen() -> None:
    library = rb.load_library()
    shown = [repr(library), repr(rb.design(rb.Task(conditions=CONDITION), CONDITION, construct=TEXT))]
    assert max(map(len, shown)) < 1000
    with pytest.raises(rb.RedoxError, match="enzymes = EnzymeLibrary of 49") as refused:
        rb.Task(enzymes=library)
    assert len(str(refused.value)) < 200


def test_one_construct_and_one_condition_need_no_list() -> None:
    for construct in (TEXT, {"LBNOX_c": 0.001, "AOX_m": 0.0003}):
        (found,) = rb.evaluate_all(rb.Task(), construct, CONDITION)
        assert found == rb.evaluate(rb.Task(), TEXT, CONDITION)


def test_a_design_is_that_of_the_evaluation(tmp_path: Path) -> None:
    task = rb.Task(conditions=CONDITION)
    design, evaluation = rb.design(task, CONDITION, construct=TEXT), rb.evaluate(task, TEXT, CONDITION)
    assert design.value == pytest.approx(evaluation.value)
    assert str(design) == str(evaluation)
    assert design.construct == evaluation.construct
    assert isinstance(design.model, cobra.Model)
    written = rb.export(design, tmp_path / "out")
    assert {path.name for path in written} >= {"model.xml", "design.json", "flux_ranges.csv"}
    assert all(path.is_file() for path in written)


@pytest.mark.parametrize("condition", [None, 3, ["hypoxia"]])
def test_a_condition_that_is_no_id_is_one_clear_line(condition: object) -> None:
    task = rb.Task(conditions="hypoxia")
    for ask in (lambda: rb.evaluate(task, "LBNOX_c 0.1 %", condition), lambda: rb.search(task, condition)):
        with pytest.raises(rb.RedoxError, match="given by its id"):
            ask()
