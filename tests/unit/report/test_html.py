"""The page of a run, without a browser."""

import re
from pathlib import Path

import pytest

from policies import untrained
from redox_balancer.design.task import Task
from redox_balancer.designer.design import make_designs
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.evaluation.score import estimated_search_s, score_policy
from redox_balancer.report.html import heat_map, render, write_report


def test_budgets_below_every_level_leave_the_empty_construct(tmp_path: Path) -> None:
    task = Task(conditions=("hypoxia",), budget=1e-6, membrane_budget=1e-6)
    environments = task.environments()
    assert estimated_search_s(environments.space, task.placements) == 0.0
    score = score_policy(environments, untrained(environments), episodes=4, seed=0)
    (row,) = score.rows()
    assert (row["construct"], row["construct_value"], row["policy_mean"], row["random_mean"]) == ([], 0.0, 0.0, 0.0)
    run = TrainedRun(tmp_path, {"environment": environments.fingerprint}, task)
    write_report(run, score, make_designs(score.proposals()), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<h3>hypoxia</h3>" in page
    assert ">NADPH</tspan>" in page
    assert "growth against the ratio of NAD+ to NADH by cell and compartment" in page
    assert not re.search(r"\bnan\b", page)


@pytest.mark.parametrize("hidden", [False, True])
def test_the_page_explains_how_the_answer_was_chosen(tmp_path: Path, *, hidden: bool) -> None:
    task = Task(conditions=("hypoxia",), hidden_condition=hidden)
    environments = task.environments()
    score = score_policy(environments, untrained(environments), episodes=2, seed=0)
    run = TrainedRun(tmp_path, {"environment": environments.fingerprint}, task)
    assert ("its samples are not ranked by value" in render(run, score, [])) is hidden


def test_cell_lines_are_the_columns_of_the_heat_map() -> None:
    task = Task(cells=("HT29", "786-O"), conditions=("healthy", "complex_iii_closed"))
    environments = task.environments()
    score = score_policy(environments, untrained(environments), episodes=2, seed=0)
    designs = make_designs(score.proposals())
    heat = heat_map(designs)
    assert heat["columns"] == ["HT29", "786-O"]
    assert heat["placed"] == {}
    assert [name for name, _ in heat["rows"]] == ["healthy", "complex_iii_closed"]
    cells = [cell for _, row in heat["rows"] for cell in row]
    assert [cell["condition"] for cell in cells] == [
        *("HT29", "786-O"),
        *("HT29+complex_iii_closed", "786-O+complex_iii_closed"),
    ]
    by_condition = {design.proposal.condition.id: design for design in designs}
    for cell in cells:
        proposal = by_condition[cell["condition"]].proposal
        assert (cell["value"], cell["rescue"]) == (proposal.task_value, proposal.outcome.rescue)
        assert 0.0 <= cell["shares"]["value"] <= 1.0
    assert max(cell["shares"]["value"] for cell in cells) == 1.0
    del designs[2]  # a gap where the run has no such condition
    assert [row.count(None) for _, row in heat_map(designs)["rows"]] == [1, 0]


def test_the_value_of_a_design_is_that_of_the_task() -> None:
    environments = Task(conditions=("complex_i_closed",), reward="rescue").environments()
    score = score_policy(environments, untrained(environments), episodes=20, seed=0)
    (proposal,) = score.proposals()
    assert proposal.task_value == score.conditions[0].best.outcome.value
    assert proposal.task_value != proposal.outcome.value
