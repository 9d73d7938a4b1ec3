import json
from pathlib import Path

import numpy as np
import pytest
import torch

from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Candidates, MaskedCategorical, Policy, PolicyShape, forward
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import load_policy

SHAPE = PolicyShape(observation_size=7, actions=11, hidden_sizes=(32, 16))
SCORING = PolicyShape(observation_size=5 + 4 * 6, actions=13, hidden_sizes=(16,), candidates=Candidates(4, 6, 3))


def random_input(rng: np.random.Generator, n: int = 64, shape: PolicyShape = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    mask = rng.random((n, shape.actions)) < 0.5
    mask[:, -1] |= ~mask.any(axis=-1)
    return rng.standard_normal((n, shape.observation_size)).astype(np.float32), mask


@pytest.mark.parametrize("shape", [SHAPE, SCORING], ids=["flat", "candidates"])
def test_numpy_in_the_actor_and_torch_in_the_learner_agree_within_1e_5(shape: PolicyShape) -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(0, 0.5, shape.size).astype(np.float32)
    observations, mask = random_input(rng, shape=shape)
    ours = forward(shape.unflatten(flat), observations)
    theirs = forward(shape.unflatten(torch.from_numpy(flat)), torch.from_numpy(observations))
    np.testing.assert_allclose(ours.logits, theirs.logits.numpy(), atol=1e-5)
    np.testing.assert_allclose(ours.values, theirs.values.numpy(), atol=1e-5)

    choice = MaskedCategorical(ours.logits, mask)
    torch_choice = MaskedCategorical(theirs.logits, torch.from_numpy(mask))
    actions = choice.sample(rng)
    np.testing.assert_allclose(
        choice.log_prob(actions), torch_choice.log_prob(torch.from_numpy(actions)).numpy(), atol=1e-5
    )
    np.testing.assert_allclose(choice.entropy(), torch_choice.entropy().numpy(), atol=1e-5)


def test_one_scorer_is_shared_by_all_candidates_whatever_their_order_and_number() -> None:
    rng = np.random.default_rng(2)
    parameters = SCORING.unflatten(rng.normal(0, 0.5, SCORING.size).astype(np.float32))
    observations, _ = random_input(rng, shape=SCORING)
    shared, rows = observations[:, :5], observations[:, 5:].reshape(-1, 4, 6)
    logits, values = forward(parameters, observations)
    order = [2, 0, 3, 1]
    changed = forward(parameters, np.concatenate([shared, rows[:, order].reshape(-1, 24)], axis=1))
    scores, reordered = logits[:, :-1].reshape(-1, 4, 3), changed.logits[:, :-1].reshape(-1, 4, 3)
    np.testing.assert_allclose(reordered, scores[:, order], atol=1e-5)
    np.testing.assert_allclose(changed.logits[:, -1], logits[:, -1], atol=1e-5)
    np.testing.assert_allclose(changed.values, values, atol=1e-5)
    # A candidate twice has the same scores both times, and none of the arrays depends on how many there are.
    more = forward(parameters, np.concatenate([observations, rows[:, 1]], axis=1)).logits
    np.testing.assert_allclose(more[:, 3:6], more[:, 12:15], atol=1e-5)
    fewer = PolicyShape(observation_size=5 + 2 * 6, actions=7, hidden_sizes=(16,), candidates=Candidates(2, 6, 3))
    assert fewer.layout == SCORING.layout


def test_a_shape_with_candidates_survives_as_json() -> None:
    sizes = json.loads(json.dumps(SCORING.as_dict()))
    assert sizes == SCORING.as_dict()
    assert PolicyShape.from_dict(sizes) == SCORING
    assert "candidates" not in SHAPE.as_dict()  # as in checkpoints of version 0.1


def test_probabilities_and_entropy_are_those_of_the_legal_actions_alone() -> None:
    logits = np.asarray([[1.0, 5.0, 2.0, -1.0]], dtype=np.float32)
    mask = np.asarray([[True, False, True, False]])
    p = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    choice = MaskedCategorical(logits, mask)
    np.testing.assert_allclose(np.exp(choice.log_probs[0]), [p[0], 0, p[1], 0], atol=1e-6)
    np.testing.assert_allclose(choice.entropy(), [-(p * np.log(p)).sum()], atol=1e-6)
    assert choice.greedy() == [2]


def test_samples_are_legal_and_have_the_frequencies_of_the_distribution() -> None:
    rng = np.random.default_rng(1)
    logits = np.tile(np.asarray([[0.3, 2.0, -1.0, 0.0, 9.0]], dtype=np.float32), (200_000, 1))
    mask = np.tile(np.asarray([[True, True, True, False, False]]), (200_000, 1))
    choice = MaskedCategorical(logits, mask)
    counts = np.bincount(choice.sample(rng), minlength=5) / len(logits)
    p = np.exp(choice.log_probs[0])
    assert counts[3:].tolist() == [0, 0]
    np.testing.assert_allclose(counts, p, atol=5 * np.sqrt(0.25 / len(logits)))


def test_a_single_legal_action_is_certain_for_any_logit() -> None:
    logits = np.asarray([[50.0, -90.0, 80.0]], dtype=np.float32)
    mask = np.asarray([[False, True, False]])
    choice = MaskedCategorical(logits, mask)
    assert choice.sample(np.random.default_rng(0)).tolist() == [1]
    assert choice.log_prob(np.asarray([1])).tolist() == [0.0]
    assert choice.entropy().tolist() == [0.0]


def test_illegal_actions_get_no_gradient_and_make_no_nan() -> None:
    logits = torch.randn(6, 5, requires_grad=True)
    mask = torch.tensor([[True, False, True, False, False]]).expand(6, 5)
    choice = MaskedCategorical(logits, mask)
    (choice.log_prob(torch.zeros(6, dtype=torch.int64)).sum() + choice.entropy().sum()).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~mask] == 0).all()
    assert (logits.grad[mask] != 0).all()


def test_the_first_policy_is_almost_uniform() -> None:
    rng = np.random.default_rng(2)
    policy = Policy(SHAPE, SHAPE.initial(rng))
    observations, _ = random_input(rng)
    entropy = policy.distribution(observations, np.ones((64, SHAPE.actions), dtype=np.bool_)).entropy()
    np.testing.assert_allclose(entropy, np.log(SHAPE.actions), atol=1e-3)


def test_the_first_policy_follows_the_estimates_of_candidates_and_stops_where_nothing_is_gained() -> None:
    rng = np.random.default_rng(2)
    policy = Policy(SCORING, SCORING.initial(rng))
    observations, _ = random_input(rng, shape=SCORING)
    estimates = rng.permuted(np.tile(np.linspace(-1.0, 1.0, 12, dtype=np.float32), (64, 1)), axis=1)
    estimates[::2] -= 1.2
    observations[:, 5:].reshape(-1, 4, 6)[:, :, :3] = estimates.reshape(-1, 4, 3)
    best = np.where(estimates.max(axis=1) > 0.0, estimates.argmax(axis=1), 12)
    assert (policy.act(observations, np.ones((64, 13), dtype=np.bool_)) == best).all()


def test_a_saved_policy_acts_as_before_and_greedy_needs_no_generator(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    flat = rng.standard_normal(SHAPE.size).astype(np.float32)
    path = checkpoint.save(tmp_path, 10, {"parameters": flat}, {"policy": SHAPE.as_dict()})
    observations, mask = random_input(rng)
    before = Policy(SHAPE, flat)
    for loaded in (load_policy(tmp_path), load_policy(path)):
        assert loaded.shape == SHAPE
        assert (loaded.act(observations, mask) == before.act(observations, mask)).all()
        drawn = loaded.act(observations, mask, np.random.default_rng(4))
        assert (drawn == before.act(observations, mask, np.random.default_rng(4))).all()
        assert mask[np.arange(64), drawn].all()
        np.testing.assert_array_equal(loaded.parameters, flat)
    with pytest.raises(RedoxError, match="not a checkpoint"):
        load_policy(tmp_path / "nothing")
