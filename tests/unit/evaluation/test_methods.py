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
from redox_balancer.evaluation.methods import (
    BELIEF,
    ENGINE,
    FIXED,
    ORACLE,
    POLICY,
    TOLD,
    Methods,
    Setup,
    at_each_limit,
    best_fixed,
)
from redox_balancer.search import belief
from redox_balancer.search.exhaustive import constructs
from redox_balancer.search.problem import SearchResult


def guaranteed_task(*, hidden: bool = False) -> RedoxEnvs:
    """The task in which one lactate oxidase alone is worth less than nothing in a healthy cell."""
    conditions = ("healthy", "slc25a11_deficiency")
    return Task(reward="guaranteed", hidden_condition=hidden, conditions=conditions, placements=1).environments()


def setup(environments: RedoxEnvs, *policies: Any) -> Setup:
    runs: Any = [SimpleNamespace(policy=lambda policy=policy: policy) for policy in policies]
    return Setup(environments, environments.space.conditions, runs, (0.05, 0.1), 60.0)


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
    assert (searched.value, len(searched.construct), searched.value_at(0.1)) == (0.0, 0, 0.0)


def test_every_method_of_a_task_answers_from_a_reset_evaluator(harmful: Methods) -> None:
    deficiency = harmful._setup.conditions[1]
    nothing = Construct.empty(len(harmful._evaluator.space.placements))
    for name, count in harmful._setup.seeds(3).items():
        first, again = (harmful.answer(name, deficiency, count - 1, nothing) for _ in range(2))
        assert first.solves > 0, name
        times = [seconds for seconds, _ in first.improvements]
        assert times == sorted(times), name
        if name in (POLICY, FIXED):
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
    monkeypatch.setattr(belief, "possible_states", lambda *_: [belief.State(believed)])
    made = Methods(setup(environments, stubborn(environments, "LOX_c", 1e-3)))
    nothing = Construct.empty(len(environments.space.placements))
    answer = made.answer(BELIEF, true, 0, nothing)
    assert made._setup.seeds(5) == {POLICY: 1, BELIEF: 1, TOLD: 1, FIXED: 1}
    made._evaluator.close()
    assert answer.value < -1e-3
    assert len(answer.construct) == 1


def test_the_belief_about_a_hidden_condition_is_over_conditions_sampled_as_in_the_training(tmp_path: Path) -> None:
    run = TrainedRun.open(unpack_old_runs(tmp_path) / "untold")
    environments = run.environments()
    made = Methods(Setup(environments, environments.space.conditions, [run], (0.1,), 60.0))
    made._evaluator.close()
    assert run.task.sampling == "mixed"
    (env,) = environments(1)
    sampled = []
    for seed in range(512):
        env.reset(seed=seed)
        sampled.append(env.condition)
    env.evaluator.close()
    assert made._belief is not None
    assert [state.condition for state in made._belief.states] == sampled
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


def test_a_search_that_divides_its_time_is_read_at_each_limit_from_the_answer_with_that_limit() -> None:
    """With more time it may find the same later, and at first have found less."""

    def found(*improvements: tuple[float, float], seconds: float) -> SearchResult:
        return SearchResult(Construct.empty(3), improvements[-1][1], 1, 1, seconds, improvements=improvements)

    short, long = found((0.02, 1.0), (0.11, 2.0), seconds=0.12), found((0.05, 0.5), (0.3, 3.0), seconds=1.0)
    both = at_each_limit({0.1: short, 1.0: long})
    assert [both.value_at(time) for time in (0.01, 0.02, 0.1, 0.2, 0.3, 1.0)] == [0.0, 1.0, 1.0, 0.5, 3.0, 3.0]
    assert (both.value, both.seconds) == (3.0, 1.0)


def test_under_noise_each_condition_has_a_cell_of_its_own_that_all_methods_measure() -> None:
    task = Task(
        hidden_condition=True, conditions=("hypoxia", "slc25a11_deficiency"), placements=1, parameter_samples=3
    )
    noisy = task.model_copy(update={"measurement_noise": 0.1})
    environments = noisy.environments()
    made = setup(environments, stubborn(environments, "LOX_c", 1e-3))
    assert [made.sample(condition) for condition in made.conditions] == [0, 1]
    assert made.seeds(4)[BELIEF] == 4
    known = setup(task.environments())
    assert [known.sample(condition) for condition in known.conditions] == [None, None]
    methods_of_cell = Methods(made)
    nothing = Construct.empty(len(environments.space.placements))
    second = made.conditions[1]
    told, guessed = (methods_of_cell.answer(name, second, 0, nothing) for name in (TOLD, BELIEF))
    again = methods_of_cell.answer(BELIEF, second, 0, nothing)
    evaluator = methods_of_cell._evaluator
    for answer in (told, guessed):
        exact = evaluator.evaluate(answer.construct, second, 1).value
        assert answer.value == pytest.approx(exact - answer.paid, abs=1e-8)
    assert told.value != pytest.approx(evaluator.evaluate(told.construct, second).value, abs=1e-6)
    assert told.value >= guessed.value - 1e-8
    assert again.construct == guessed.construct
    evaluator.close()
