"""The page of a run, without a browser."""

from pathlib import Path

from policies import untrained
from redox_balancer.design.task import Task
from redox_balancer.designer.design import make_designs
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.evaluation.score import estimated_search_s, score_policy
from redox_balancer.report.html import write_report


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
    assert "nan" not in page.split("<h2>Settings")[0].replace("name", "")
