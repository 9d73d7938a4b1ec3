from typing import Any

import numpy as np
import pytest
import torch

from redox_balancer.impala.vtrace import vtrace

Case = dict[str, Any]


def random_case(rng: np.random.Generator) -> Case:
    T, B = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    terminated = rng.random((T, B)) < 0.25
    values = rng.standard_normal((T, B))
    truncated = (rng.random((T, B)) < 0.25) & ~terminated
    # Inside an episode the value of what follows is the next row; after a truncation and at the end it is its own.
    next_values = np.concatenate([values[1:], rng.standard_normal((1, B))])
    next_values = np.where(truncated, rng.standard_normal((T, B)), next_values)
    return {
        "target_log_probs": rng.normal(-1, 0.7, (T, B)),
        "behaviour_log_probs": rng.normal(-1, 0.7, (T, B)),
        "rewards": rng.standard_normal((T, B)),
        "terminated": terminated,
        "truncated": truncated,
        "values": values,
        "next_values": next_values,
        "gamma": float(rng.choice([1.0, 0.9])),
        "lambda_": float(rng.choice([1.0, 0.8])),
        "rho_clip": float(rng.choice([0.7, 1.0, 2.0])),
        "c_clip": float(rng.choice([0.5, 1.0, 1.5])),
        "pg_rho_clip": float(rng.choice([0.6, 1.0, 3.0])),
    }


def tensors(case: Case) -> Case:
    return {name: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for name, x in case.items()}


def definition(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Equation 1 of the paper as it is written: for each s a sum over t of products over i."""
    T, B = case["rewards"].shape
    ratios = np.exp(case["target_log_probs"] - case["behaviour_log_probs"])
    rho, pg = np.minimum(ratios, case["rho_clip"]), np.minimum(ratios, case["pg_rho_clip"])
    c = case["lambda_"] * np.minimum(ratios, case["c_clip"])
    targets, advantages = np.zeros((T, B)), np.zeros((T, B))
    for b in range(B):
        for s in range(T):
            targets[s, b] = case["values"][s, b]
            for t in range(s, T):
                weight = 1.0
                for i in range(s, t):
                    over = case["terminated"][i, b] or case["truncated"][i, b]
                    weight *= 0.0 if over else case["gamma"] * c[i, b]
                follows = 0.0 if case["terminated"][t, b] else case["gamma"] * case["next_values"][t, b]
                targets[s, b] += weight * rho[t, b] * (case["rewards"][t, b] + follows - case["values"][t, b])
    for b in range(B):
        for s in range(T):
            if case["terminated"][s, b]:
                follows = 0.0
            elif case["truncated"][s, b] or s == T - 1:
                follows = case["gamma"] * case["next_values"][s, b]
            else:
                follows = case["gamma"] * targets[s + 1, b]
            advantages[s, b] = pg[s, b] * (case["rewards"][s, b] + follows - case["values"][s, b])
    return targets, advantages


def test_targets_and_advantages_equal_the_definition_with_inner_ends_lambda_and_every_clip() -> None:
    rng = np.random.default_rng(0)
    inner_terminations = inner_truncations = 0
    for _ in range(1500):
        case = random_case(rng)
        inner_terminations += int(case["terminated"][:-1].sum())
        inner_truncations += int(case["truncated"][:-1].sum())
        targets, advantages = definition(case)
        ours = vtrace(**tensors(case))
        np.testing.assert_allclose(ours.targets.numpy(), targets, atol=1e-10, rtol=0)
        np.testing.assert_allclose(ours.advantages.numpy(), advantages, atol=1e-10, rtol=0)
    assert inner_terminations > 1000
    assert inner_truncations > 1000


def test_on_policy_without_inner_end_the_target_is_the_n_step_return() -> None:
    rng = np.random.default_rng(1)
    T, B, gamma = 6, 3, 0.9
    log_probs, rewards = rng.normal(-1, 1, (T, B)), rng.standard_normal((T, B))
    values, bootstrap = rng.standard_normal((T, B)), rng.standard_normal((1, B))
    never = np.zeros((T, B), dtype=np.bool_)
    ours = vtrace(
        **tensors(
            {
                "target_log_probs": log_probs,
                "behaviour_log_probs": log_probs,
                "rewards": rewards,
                "terminated": never,
                "truncated": never,
                "values": values,
                "next_values": np.concatenate([values[1:], bootstrap]),
            }
        ),
        gamma=gamma,
    )
    for s in range(T):
        n_step = sum(gamma ** (t - s) * rewards[t] for t in range(s, T)) + gamma ** (T - s) * bootstrap[0]
        np.testing.assert_allclose(ours.targets[s].numpy(), n_step, atol=1e-12)
        np.testing.assert_allclose(ours.advantages[s].numpy(), n_step - values[s], atol=1e-12)


@pytest.mark.parametrize("kind", ["terminated", "truncated"])
def test_a_rollout_with_an_inner_end_equals_its_parts_alone(kind: str) -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        case = random_case(rng)
        T = len(case["rewards"])
        if T < 2:
            continue
        cut = int(rng.integers(0, T - 1))
        for name in ("terminated", "truncated"):
            case[name][cut] = name == kind
        # What follows the end belongs to another episode; only a truncated step has a value of its own there.
        case["next_values"][cut] = rng.standard_normal(case["rewards"].shape[1])
        whole = vtrace(**tensors(case))
        arrays = {name for name, x in case.items() if isinstance(x, np.ndarray)}
        first = vtrace(**tensors({n: x[: cut + 1] if n in arrays else x for n, x in case.items()}))
        second = vtrace(**tensors({n: x[cut + 1 :] if n in arrays else x for n, x in case.items()}))
        torch.testing.assert_close(whole.targets, torch.cat([first.targets, second.targets]))
        torch.testing.assert_close(whole.advantages, torch.cat([first.advantages, second.advantages]))


@pytest.mark.parametrize("spoil", ["shifted", "dropped"])
def test_each_reward_counts_at_its_own_step(spoil: str) -> None:
    """With values 0 the advantage of a step that terminates is its own reward alone, independent of other steps."""
    T = 5
    rewards = torch.arange(1.0, T + 1)[:, None]
    zeros = torch.zeros(T, 1)
    ones = torch.ones(T, 1, dtype=torch.bool)

    def advantages(rewards: torch.Tensor) -> torch.Tensor:
        return vtrace(
            target_log_probs=zeros,
            behaviour_log_probs=zeros,
            rewards=rewards,
            terminated=ones,
            truncated=~ones,
            values=zeros,
            next_values=zeros,
        ).advantages

    assert torch.equal(advantages(rewards), rewards)
    spoilt = rewards.roll(1, dims=0) if spoil == "shifted" else torch.where(rewards == 3.0, 0.0, rewards)
    assert not torch.equal(advantages(spoilt), rewards)


def test_the_result_keeps_the_type_of_the_values_and_has_no_gradient() -> None:
    case = tensors(random_case(np.random.default_rng(3)))
    floats = {n: x.float() if torch.is_tensor(x) and x.is_floating_point() else x for n, x in case.items()}
    floats["values"].requires_grad_()
    floats["target_log_probs"].requires_grad_()
    ours = vtrace(**floats)
    assert ours.targets.dtype == ours.advantages.dtype == torch.float32
    assert not ours.targets.requires_grad
    assert not ours.advantages.requires_grad
