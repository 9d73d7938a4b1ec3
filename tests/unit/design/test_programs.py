"""What a user reads where a linear program has no optimum."""

import math

import pytest

from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.solution import Solution, Status
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError


@pytest.mark.parametrize(
    ("status", "advice"),
    [(Status.TIME_LIMIT, "use a smaller model"), (Status.UNBOUNDED, "check the bounds of the model")],
)
def test_a_program_without_an_optimum_is_reported_with_something_that_can_be_done(
    monkeypatch: pytest.MonkeyPatch, status: Status, advice: str
) -> None:
    space = Task().environments().space
    monkeypatch.setattr(FluxLP, "maximise", lambda *_, **__: Solution(status, math.nan))
    with pytest.raises(RedoxError, match=status.value) as refused:
        Evaluator(space)
    assert refused.value.hint.startswith(advice)
    assert "time limit" not in refused.value.hint
    assert refused.value.settings == ("model",)
