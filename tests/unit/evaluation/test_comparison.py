"""The comparison gives each method what its protocol allows, on runs that version 0.1 trained."""

from pathlib import Path
from typing import Any

import pytest

from old_runs import unpack_old_runs
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.evaluation import comparison, methods
from redox_balancer.evaluation.comparison import TRAINING, Protocol, compare_methods
from redox_balancer.search.belief import Belief
from redox_balancer.search.problem import SearchResult


@pytest.fixture(scope="module")
def old_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_old_runs(tmp_path_factory.mktemp("runs"))


def test_the_belief_about_a_hidden_condition_is_over_conditions_sampled_as_in_the_training(
    old_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[Any] = []

    def recorded(evaluator: Evaluator, environments: RedoxEnvs) -> methods.Method:
        received.append([state.condition for state in Belief.of(environments, evaluator, count=64).states])
        nothing = Construct.empty(len(evaluator.space.placements))
        return methods.Method("greedy on belief", lambda _condition, _seed: SearchResult(nothing, 0.0, 1, 1, 1.0))

    monkeypatch.setattr(comparison, "belief_search", recorded)
    compared = compare_methods([old_runs / "untold"], Protocol(sets=(TRAINING,)))
    (conditions,) = received
    summary = compared.summary()
    assert summary["hopeless"] == summary["no_useful_design"]
    task = TrainedRun.open(old_runs / "untold").task
    assert task.sampling == "mixed"
    (env,) = task.environments()(1)
    sampled = []
    for seed in range(64):
        env.reset(seed=seed)
        sampled.append(env.condition)
    env.evaluator.close()
    assert conditions == sampled
    assert len({condition.changes for condition in conditions}) > 60
