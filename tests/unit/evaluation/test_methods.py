"""Answers of the design methods: each from a reset evaluator, and which of them may do harm."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from old_runs import unpack_old_runs
from policies import stubborn
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.task import Task
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.evaluation import methods
from redox_balancer.evaluation.methods import BELIEF, ENGINE, FIXED, ORACLE, POLICY, Methods, Setup, best_fixed
from redox_balancer.search.exhaustive import constructs


def guaranteed_task(*, hidden: bool = False) -> RedoxEnvs:
    """The task in which one lactate oxidase alone is worth less than nothing in a healthy cell."""
    conditions = ("healthy", "slc25a11_deficiency")
    return Task(reward="guaranteed", hidden_condition=hidden, conditions=conditions, placements=1).environments()


def setup(environments: RedoxEnvs, *policies: Any, seconds: float = 0.1) -> Setup:
    runs: Any = [SimpleNamespace(policy=lambda policy=policy: policy) for policy in policies]
    return Setup(environments, environments.space.conditions, runs, seconds, 60.0)


@pytest.fixture
def harmful() -> Iterator[Methods]:
    environments = guaranteed_task()
    made = Methods(setup(environments, stubborn(environments, "LOX_c", 1e-3)))
    yield made
    made._evaluator.close()


def test_a_policy_answers_with_a_harmful_construct_and_the_engine_does_not(harmful: Methods) -> None:
    healthy = harmful._setup.conditions[0]
    nothing = Construct.empty(len(harmful._evaluator.space.placements))
    alone = harmful.answer(POLICY, healthy, 0, nothing)
    assert alone.value < -0.1
    ((answered, value),) = alone.improvements
    assert value == alone.value
    assert 0.0 < answered <= alone.seconds
    assert harmful.answer(FIXED, healthy, 0, alone.construct).value == alone.value
    searched = harmful.answer(ENGINE, healthy, 0, nothing)
    assert (searched.value, len(searched.construct), searched.improvements) == (0.0, 0, ())


def test_every_method_of_a_task_answers_from_a_reset_evaluator(harmful: Methods) -> None:
    deficiency = harmful._setup.conditions[1]
    nothing = Construct.empty(len(harmful._evaluator.space.placements))
    for name, count in harmful._setup.seeds(3).items():
        first, again = (harmful.answer(name, deficiency, count - 1, nothing) for _ in range(2))
        assert first.solves > 0, name
        times = [seconds for seconds, _ in first.improvements]
        assert times == sorted(times), name
        if name in (POLICY, FIXED, methods.GREEDY):
            assert again.solves == first.solves, name
    assert harmful._setup.seeds(3)[ENGINE] == harmful._setup.seeds(3)[methods.RESTARTS] == 3
    assert harmful._setup.seeds(3)[POLICY] == 1


def test_a_belief_that_is_wrong_answers_with_a_harmful_construct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a hidden condition the value is not available, so it cannot discard the answer."""
    task = Task(
        reward="guaranteed", conditions=("hypoxia", "slc25a11_deficiency"), placements=1, hidden_condition=True
    )
    environments = task.environments()
    believed, true = environments.space.conditions
    monkeypatch.setattr(methods, "possible_conditions", lambda *_: [believed])
    made = Methods(setup(environments, stubborn(environments, "LOX_c", 1e-3)))
    nothing = Construct.empty(len(environments.space.placements))
    answer = made.answer(BELIEF, true, 0, nothing)
    assert set(made._setup.seeds(5)) == {POLICY, BELIEF, FIXED}
    made._evaluator.close()
    assert answer.value < -1e-3
    assert len(answer.construct) == 1


def test_the_belief_about_a_hidden_condition_is_over_conditions_sampled_as_in_the_training(tmp_path: Path) -> None:
    run = TrainedRun.open(unpack_old_runs(tmp_path) / "untold")
    environments = run.environments()
    made = Methods(Setup(environments, environments.space.conditions, [run], 0.1, 60.0))
    made._evaluator.close()
    assert run.task.sampling == "mixed"
    (env,) = environments(1)
    sampled = []
    for seed in range(512):
        env.reset(seed=seed)
        sampled.append(env.condition)
    env.evaluator.close()
    assert made._belief.conditions == sampled
    assert len({condition.changes for condition in sampled}) > 480


def test_the_oracle_without_time_answers_with_nothing() -> None:
    environments = Task(conditions=("hypoxia",), placements=3).environments()
    policy = stubborn(environments, "LOX_c", 1e-3)
    cold = Methods(replace(setup(environments, policy), oracle_s=0.0))
    nothing = Construct.empty(len(environments.space.placements))
    assert cold.answer(ORACLE, environments.space.conditions[0], 0, nothing).bound is None
    cold._evaluator.close()


def test_the_best_fixed_construct_is_that_of_the_largest_mean_share() -> None:
    environments = Task(conditions=("hypoxia", "pdh_deficiency", "complex_iii_closed"), placements=2).environments()
    space = environments.space
    with Evaluator(space) as evaluator:
        values = {c: [evaluator.evaluate(c, k).value for k in space.conditions] for c in constructs(space, 2)}
    best = [max(column) for column in zip(*values.values(), strict=True)]

    def share(construct: Construct) -> float:
        return sum(value / most for value, most in zip(values[construct], best, strict=True))

    assert share(best_fixed(environments, 0.5)) == pytest.approx(max(map(share, values)), abs=1e-6)
