"""The page of a run, without a browser."""

import re
from pathlib import Path

import pytest

from policies import untrained
from redox_balancer.design.task import Task
from redox_balancer.designer.design import make_designs
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.evaluation.score import estimated_search_s, score_policy
from redox_balancer.report.html import render, write_report


def test_budgets_below_every_level_leave_the_empty_construct(tmp_path: Path) -> None:
    task = Task(conditions=("hypoxia",), budget=1e-6, membrane_budget=1e-6)
    environments = task.environments()
    assert estimated_search_s(environments.space, task.placements) == 0.0
    score = score_policy(environments, untrained(environments), episodes=4, seed=0)
    (row,) = score.rows()
    assert (row["construct"], row["construct_value"], row["policy_mean"], row["random_mean"]) == ([], 0.0, 0.0, 0.0)
    run = TrainedRun(tmp_path, {"environment": environments.fingerprint}, task)
    write_report(run, score, make_designs(task, score.proposals()), tmp_path / "report.html")
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
