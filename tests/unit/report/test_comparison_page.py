"""The page and the figure of a comparison, from a summary."""

from typing import Any

import pytest

from redox_balancer.report.comparison import markdown
from redox_balancer.report.figures import methods_compared

TRAINED, SEARCH = "engine with policy", "greedy"


def row(method: str, least: float, seconds: float | None) -> dict[str, Any]:
    shares = {"share": 1.0, "share_low": 0.5, "share_high": 1.0, "mean_share": 0.9, "mean_low": 0.4, "mean_high": 1.0}
    to = {"0.9": seconds, "0.95": seconds, "0.99": None}
    return {"method": method, "seeds": 5, **shares, "smallest_share": least, "seconds": 0.25, "seconds_to": to}


def summary(**options: Any) -> dict[str, Any]:
    crossing = {"trained": TRAINED, "search": SEARCH, "at_most": False, "queries": None}
    crossings = [
        crossing | {"share": 0.9, "queries": 1500},
        crossing | {"share": 0.95, "queries": 2000, "at_most": True},
        crossing | {"share": 0.99},
    ]
    states = {
        "seconds": 0.1,
        "methods": [row(TRAINED, -0.25, 0.05), row(SEARCH, 0.0, None)],
        "unproven": ["state 2"],
        "times": [0.1, 1.0],
        "curves": {name: [[0.5, 0.4, 0.6], [0.9, 0.8, 1.0]] for name in (TRAINED, SEARCH)},
        "crossings": crossings,
        "conditions": [{}, {}],
    }
    task = {"reward": "guaranteed", "hidden_condition": True, "parameter_samples": 64}
    whole = {"version": "9.9", "date": "2026-01-31", "runs": ["a", "b"], "task": task, "placements": 3}
    made = {"training_steps": 1e6, "training_s": 120.0, "no_useful_design": ["healthy"], "sets": {"states": states}}
    return {**whole, **made, **options}


def test_the_page_shows_harm_proofs_and_what_pays_for_the_training() -> None:
    page = markdown(summary())
    assert "# Comparison: reward `guaranteed`, 3 placements, hidden condition, 64 parameter samples" in page
    assert "By version 9.9, 2026-01-31, 2 policies, each after 1,000,000 steps and 120 s of training." in page
    assert "states: 2 conditions, 0.1 s per answer, shares of the best known in percent" in page
    assert "without a proven optimum: state 2" in page
    trained = f"| {TRAINED} | 5 | 100.0 | 50.0 to 100.0 | 90.0 | 40.0 to 100.0 | -25.0 | 0.050 | never | 0.250 |"
    assert trained in page
    assert f"| {TRAINED} | {SEARCH} | 1,500 | at most 2,000 | never |" in page
    assert "no construct is of use: healthy" in page


@pytest.mark.parametrize("training_s", [0.0, 120.0])
def test_the_figure_has_a_curve_of_each_method_and_the_cost_of_those_that_reach_the_share(training_s: float) -> None:
    figure = methods_compared(summary(training_s=training_s)).figure
    curves, cost = figure.axes
    assert [line.get_label() for line in curves.lines] == [TRAINED, SEARCH]
    assert cost.get_title() == "95 % of the best known"
    (line,) = cost.lines
    queries, seconds = line.get_data()
    assert seconds == pytest.approx(training_s + 0.05 * queries)
