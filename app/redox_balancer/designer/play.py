"""Episodes played with a policy, the constructs that it may answer with, and the search from them."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.evaluator import Valued
from redox_balancer.impala.policy import Policy
from redox_balancer.resources import one_blas_thread
from redox_balancer.search.local import Batch, engine
from redox_balancer.search.problem import Search, SearchResult

BATCH = 50  # episodes played in parallel: the policy computes the actions of all of them in one forward pass
DRAWS = 4  # constructs drawn from a policy at once, as starts of a search
POLICY = "policy"


def search_from(
    policy: Policy, envs: Sequence[RedoxEnv], search: Search, generator: np.random.Generator
) -> tuple[SearchResult, Valued]:
    """Run the engine from constructs that a policy draws; its answer, and the policy's most probable construct.

    Under a hidden condition constructs cannot be compared by their values, which would use the condition that is not
    shown, nor by the measurements of many episodes, as the protocol grants one. The most probable construct is then
    the answer, whatever it is worth.

    Parameters
    ----------
    policy, generator
        Chooses the actions; draws them, and the random constructs of the engine.
    envs
        Environments to play in, `DRAWS` for the fewest forward passes, that share the evaluator of `search`.
    search
        A search just begun under one condition; its limits hold for the draws too.
    """
    (condition,) = search.problem.conditions
    search.stage = POLICY
    seed = int(generator.integers(2**31)) if envs[0].hidden_condition else None
    probable = play_episodes(envs, condition.id, policy, 1, None, sample=search.problem.sample, seed=seed)[0]
    if envs[0].hidden_condition:
        return search.chosen(probable.construct, probable.paid), probable
    search.value(probable.construct)

    def draws() -> Iterator[Batch]:
        """The most probable construct, with which cutting planes go on; later batches of draws, the best first."""
        yield POLICY, [probable.construct]
        while True:
            drawn = play_episodes(envs, condition.id, policy, DRAWS, generator)
            drawn.sort(key=lambda entry: -entry.outcome.value)
            yield POLICY, list(dict.fromkeys(entry.construct for entry in drawn))

    return engine(search, generator, draws()), probable


@one_blas_thread()
def play_episodes(
    envs: Sequence[RedoxEnv],
    condition: str,
    policy: Policy | None,
    episodes: int,
    generator: np.random.Generator | None,
    *,
    sample: int | None = None,
    seed: int | None = None,
) -> list[Valued]:
    """Play episodes under one named condition, as many in parallel as there are environments.

    Parameters
    ----------
    envs, condition
        Environments to play in, which share one evaluator, and a condition of their design space.
    policy
        Chooses the actions; None chooses uniformly among the legal ones, which needs a generator.
    generator
        Samples the actions; None takes the most probable action of the policy each time.
    sample, seed
        Parameter sample of the cell that is measured, drawn for each episode where there is none; and what the errors
        of measurements are drawn from.

    Returns
    -------
    list of Valued
        The final construct of each episode and its outcome by the task of the environments.
    """
    finished: list[Valued] = []
    options, seeds = {"condition": condition, "sample": sample}, itertools.count(seed or 0)
    while len(finished) < episodes:
        playing = envs[: episodes - len(finished)]
        own = [None if seed is None else next(seeds) for _ in playing]
        complete = RedoxEnvs.together(playing)
        observations = np.stack(
            [env.reset(seed=each, options=options)[0] for env, each in zip(playing, own, strict=True)]
        )
        masks = np.ones((len(playing), playing[0].evaluator.space.actions), dtype=np.bool_)
        running = [*range(len(playing))]
        while running:
            complete(observations, masks)
            if policy is not None:
                actions = policy.act(observations[running], masks[running], generator)
            else:
                actions = random_actions(masks[running], generator or np.random.default_rng())
            for row, action in zip(running.copy(), actions.tolist(), strict=True):
                observations[row], _, terminated, _, _ = playing[row].step(action)
                if terminated:
                    finished.append(valued(playing[row]))
                    running.remove(row)
    return finished


def valued(env: RedoxEnv) -> Valued:
    """The construct of an environment with its outcome by the task, in the cell that was measured if one was."""
    measured = env.sample if env.measurement.of_sample else None
    return Valued(env.construct, env.evaluator.evaluate(env.construct, env.condition, measured), env.paid)


def candidates(
    envs: Sequence[RedoxEnv], condition: str, policy: Policy, sampled: Sequence[Valued] = ()
) -> list[Valued]:
    """The constructs that a policy may answer with under a named condition: the answer is the most valuable one.

    These are the construct of the most probable actions, those sampled from the policy, and the empty construct,
    which is worth 0: no answer is worse than nothing. Under a hidden condition it is the first alone: `search_from`.
    """
    greedy = play_episodes(envs, condition, policy, 1, None)
    env = envs[0]
    if env.hidden_condition:
        return greedy
    env.reset(options={"condition": condition})
    return [*greedy, *sampled, valued(env)]


def most_valuable(constructs: Sequence[Valued]) -> Valued:
    """The construct of the largest value, the first of equals."""
    return max(constructs, key=lambda entry: entry.value)


def random_actions(masks: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.int64]:
    """One legal action for each row of `masks`, shape (N, A), all equally likely; shape (N,)."""
    actions: NDArray[np.int64] = np.argmax(generator.random(masks.shape) * masks, axis=1)
    return actions
