"""A policy that is asked about another task than the one it was trained on."""

import json
from pathlib import Path

import numpy as np
import pytest

from redox_balancer.cell.network import FloatArray
from redox_balancer.design.env import RedoxEnv
from redox_balancer.design.task import Task
from redox_balancer.designer.trained_run import TrainedRun, fitted
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import RETURN_SCALE, TrainConfig
from tests.support.policies import untrained

TRAINED = Task(conditions="healthy,hypoxia,complex_iii_closed", without_enzymes="LBNOX,AOX", candidates="all")


def run_of(task: Task, folder: Path) -> TrainedRun:
    """A run of a task, as its `config.json` records it."""
    record = {"task": task.model_dump(mode="json"), "environment": task.environments().fingerprint}
    (folder / "config.json").write_text(json.dumps(record))
    return TrainedRun.open(folder)


def first_of(run: TrainedRun) -> RedoxEnv:
    return run.environments()(1)[0]


def gains_of(env: RedoxEnv) -> FloatArray:
    """Estimated gains of single placements in the state of an environment, (P, L)."""
    features = env.features
    assert features is not None
    assert features.outlook is not None
    assert features.ahead is not None
    return features.outlook.gains(features.ahead[:1])[0]


def test_a_placement_has_the_same_features_and_the_state_the_same_entries_in_a_larger_library(tmp_path: Path) -> None:
    run = run_of(TRAINED, tmp_path)
    few, many = first_of(run), first_of(run.elsewhere(without_enzymes=()))
    names = [placement.id for placement in many.evaluator.space.placements]
    at = [names.index(placement.id) for placement in few.evaluator.space.placements]
    assert len(at) < len(names)
    policy = untrained(run.environments())
    for condition in ("hypoxia", "complex_iii_closed"):
        options = {"condition": condition}
        seen, info = few.reset(options=options)
        more, more_info = many.reset(options=options)
        number, features, levels = few.metadata["candidates"]
        shared = seen.size - number * features
        assert more[:shared] == pytest.approx(seen[:shared], abs=1e-6)
        rows = more[shared:].reshape(-1, features)[at]
        own_rows = seen[shared:].reshape(-1, features)
        assert rows[:, levels:-1] == pytest.approx(own_rows[:, levels:-1], abs=1e-5)
        # Gains are estimated by cuts that were sampled with the placements of each library, and shown with others.
        own_gains, gains = (gains_of(env) for env in (few, many))
        assert np.abs(gains[at] - own_gains).mean() < 0.01
        of_gains = [*range(levels), -1]
        rows[:, of_gains] = own_rows[:, of_gains]
        # Without pooling over what is new, the policy has the same preferences among the placements of both.
        again = policy.distribution(np.concatenate([more[:shared], rows.ravel()])[None], info["action_mask"][None])
        own = policy.distribution(seen[None], info["action_mask"][None])
        assert again.log_probs == pytest.approx(own.log_probs, abs=1e-4)
        chosen = policy.distribution(more[None], more_info["action_mask"][None])
        assert chosen.log_probs.shape == (1, len(names) * levels + 1)
    few.close()
    many.close()


def test_limits_are_mapped_by_name_and_scaled_as_in_training(tmp_path: Path) -> None:
    run = run_of(TRAINED, tmp_path)
    there = run.elsewhere(conditions="complex_iii_closed,complex_i_closed", without_enzymes=())
    names = list(run.config["environment"]["observation"])
    own, other = first_of(run), first_of(there)
    closed = {"condition": "complex_iii_closed"}
    seen, shown = own.reset(options=closed)[0], other.reset(options=closed)[0]
    shared = seen.size - np.prod(own.metadata["candidates"][:2])
    assert shown[:shared] == pytest.approx(seen[:shared], abs=1e-6)
    unknown, _ = other.reset(options={"condition": "complex_i_closed"})
    limits = [position for position, name in enumerate(names) if name.startswith("limit:")]
    changed = other.evaluator.space.conditions[0].changes[0].reaction
    assert all(unknown[position] == 1.0 for position in limits)  # the policy does not know this limit
    assert any(seen[position] < 1.0 for position in limits if changed in names[position])
    assert {name for name in names if name.startswith("limit:")} > {f"limit:{changed}:flux"}
    own.close()
    other.close()


@pytest.mark.parametrize(
    ("task", "settings", "said"),
    [
        (Task(conditions="hypoxia", observation="flat"), {"budget": 0.01}, "another budget"),
        (Task(conditions="hypoxia"), {"observation": "flat"}, "another observation"),
        (Task(conditions="hypoxia"), {"hidden_condition": True}, "another hidden condition"),
        (Task(conditions="hypoxia", hidden_condition=True), {"placements": 3}, "another placements"),
        (Task(conditions="hypoxia"), {"held_ratios": "c"}, "was not trained with these ratios, but with none"),
        (Task(conditions="hypoxia"), {"without_enzymes": "NOTHING"}, "no enzyme NOTHING"),
        (Task(conditions="hypoxia"), {"cels": "HT29"}, "no setting cels"),
    ],
)
def test_a_task_that_does_not_fit_the_policy_is_refused(
    tmp_path: Path, task: Task, settings: dict[str, object], said: str
) -> None:
    run = run_of(task, tmp_path)
    with pytest.raises(RedoxError, match=said) as refused:
        run.elsewhere(**settings).environments()
    assert refused.value.hint


def test_other_levels_are_refused_and_a_changed_library_is_asked_about_by_naming_it(tmp_path: Path) -> None:
    run = run_of(TRAINED, tmp_path)
    run.config["environment"]["caps"][0][0] *= 2.0
    with pytest.raises(RedoxError, match="caps changed since"):
        run.environments()
    assert run.elsewhere(without_enzymes=TRAINED.without_enzymes).environments().trained
    names = run.config["environment"]["observation"]
    names[names.index("gain at 0.001, of the largest")] = "gain at 0.002, of the largest"
    with pytest.raises(RedoxError, match="other protein levels"):
        run.elsewhere(budget=0.01).environments()


def test_a_hidden_condition_changes_the_defaults_of_observations_and_returns() -> None:
    known, hidden, config = Task(), Task(hidden_condition=True), TrainConfig()
    assert (known.observation, hidden.observation) == ("candidates", "flat")
    assert Task(hidden_condition=True, observation="candidates").observation == "candidates"
    assert (fitted(known, config).return_scale, fitted(hidden, config).return_scale) == (RETURN_SCALE, 0.0)
    chosen = TrainConfig(return_scale=0.5)
    assert fitted(hidden, chosen) is chosen
    assert config.collector["return_scale"] == RETURN_SCALE
