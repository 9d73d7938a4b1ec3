"""Episodes that a policy plays."""

from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from policies import untrained
from redox_balancer.design.task import Task
from redox_balancer.designer.play import play_episodes
from redox_balancer.impala.policy import Policy


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_a_policy_acts_on_one_blas_thread_and_leaves_the_caller_its_own() -> None:
    environments = Task(conditions=("healthy",)).environments()
    found = []

    class Observed(Policy):
        def act(self, *arguments: Any) -> Any:
            found.append(blas_threads())
            return super().act(*arguments)

    policy = untrained(environments)
    envs = environments.named(2)
    with threadpool_limits(2, user_api="blas"):
        play_episodes(envs, "healthy", Observed(policy.shape, policy.parameters), 2, np.random.default_rng(0))
        after = blas_threads()
    envs[0].evaluator.close()
    assert found
    assert set().union(*found) == {1}
    assert after == {2}
