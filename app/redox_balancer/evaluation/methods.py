"""Design methods behind one interface: each answers with a construct for a condition, on one thread.

Their time is processor time, which is wall time where nothing else uses the core.
"""

import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.designer.play import DRAWS, play_episodes, search_from
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.resources import one_blas_thread
from redox_balancer.search.belief import Belief
from redox_balancer.search.heuristics import evolutionary, greedy
from redox_balancer.search.local import engine, restarts
from redox_balancer.search.milp import NoSolutionError
from redox_balancer.search.oracle import oracle
from redox_balancer.search.problem import Problem, Search, SearchResult

USEFUL = 1e-6
"""A construct of a smaller value, in healthy respirations, is of no use: shares of it would mean nothing."""

ENGINE, POLICY = "engine with policy", "policy"
UNTRAINED, RESTARTS, EVOLUTIONARY, GREEDY = "engine without policy", "random restarts", "evolutionary", "greedy"
BELIEF, TOLD, ORACLE, FIXED = "belief search", "engine told the cell", "oracle", "best fixed construct"
TRAINED, SEARCHES = (ENGINE, POLICY), (UNTRAINED, RESTARTS, EVOLUTIONARY, GREEDY, BELIEF, ORACLE)
PLANNED, LIMITED = (ENGINE, UNTRAINED), (TOLD, RESTARTS, EVOLUTIONARY, GREEDY)
"""Methods that divide the time that they are given, and those that end with it; others end by themselves."""

FIXED_TIMES = 10  # time for the choice of the fixed construct, in longest times of an answer


@dataclass(frozen=True)
class Setup:
    """What each process of a comparison needs, ready to be pickled."""

    environments: RedoxEnvs  # that the policies were trained in
    conditions: tuple[Condition, ...]
    runs: Sequence[TrainedRun]  # which differ in their seed alone
    times: Sequence[float]  # of an answer, ascending, s: a search goes on to the last, or is repeated
    oracle_s: float  # time of the oracle for an answer, which has none before its proof, s

    def seeds(self, sampled: int) -> dict[str, int]:
        """The methods of the task with the number of their seeds, `sampled` for those that draw.

        Each policy counts as a seed.
        """
        trained, environments = len(self.runs), self.environments
        if environments.hidden_condition:
            told = {} if environments.space.is_provable else {TOLD: 1}
            return {POLICY: trained, BELIEF: sampled if environments.measurement.noise else 1, **told, FIXED: 1}
        drawing = {ENGINE: trained if trained > 1 else sampled, UNTRAINED: sampled, RESTARTS: sampled}
        return {**drawing, EVOLUTIONARY: sampled, GREEDY: 1, POLICY: trained, FIXED: 1}

    def sample(self, condition: Condition) -> int | None:
        """Parameter sample of the cell that is measured and valued under a condition; None for the mean over all."""
        count = len(self.environments.space.parameter_samples)
        if not count or not self.environments.measurement.of_sample:
            return None
        return self.conditions.index(condition) % count


class Methods:
    """All methods in one process, on one evaluator that is reset before each answer."""

    def __init__(self, setup: Setup) -> None:
        environments = setup.environments
        self._setup = setup
        self._envs = replace(environments, space=replace(environments.space, conditions=setup.conditions)).named(
            DRAWS
        )
        self._evaluator = self._envs[0].evaluator
        self._policies = [run.policy() for run in setup.runs]
        self._belief = Belief.of(environments, self._evaluator) if environments.hidden_condition else None
        if self._belief:
            self._belief.prepare()  # the same for every cell, so it is no part of an answer
        for policy in self._policies:  # what the first episode of a process loads is no part of an answer
            play_episodes(self._envs, setup.conditions[0].id, policy, 1, None)

    def answer(self, name: str, condition: Condition, seed: int, fixed: Construct) -> SearchResult:
        """Answer by a method; `fixed` is the construct of the one that gives the same to all conditions.

        The policy, the fixed construct and the belief search answer with their construct whatever it is worth, the
        others with nothing rather than with one of negative value.
        """
        times = self._setup.times
        if name in PLANNED:
            return at_each_limit({limit: self._run(name, condition, seed, fixed, limit) for limit in times})
        return self._run(name, condition, seed, fixed, times[-1] if name in LIMITED else None)

    def _run(
        self, name: str, condition: Condition, seed: int, fixed: Construct, seconds: float | None
    ) -> SearchResult:
        setup, envs, policy = self._setup, self._envs, self._policies[seed % len(self._policies)]
        problem = Problem.under(self._evaluator, condition, setup.environments.placements, setup.sample(condition))
        search = Search(problem, seconds=seconds, clock=time.process_time)
        generator = np.random.default_rng(seed)

        def alone() -> SearchResult:
            if setup.environments.hidden_condition:
                return search_from(policy, envs, search, generator)[0]
            return search.chosen(play_episodes(envs, condition.id, policy, 1, None)[0].construct)

        run: dict[str, Callable[[], SearchResult | None]] = {
            ENGINE: lambda: search_from(policy, envs, search, generator)[0],
            UNTRAINED: lambda: engine(search, generator),
            RESTARTS: lambda: restarts(search, generator),
            EVOLUTIONARY: lambda: evolutionary(search, generator),
            GREEDY: lambda: greedy(search),
            POLICY: alone,
            BELIEF: lambda: self._belief.search(search, generator) if self._belief else None,
            TOLD: lambda: engine(search, generator),
            FIXED: lambda: search.chosen(fixed),
            ORACLE: lambda: oracle(search, time_limit_s=setup.oracle_s),
        }
        try:
            return run[name]() or search.found()
        except NoSolutionError:  # the oracle, out of time
            return search.found()


def at_each_limit(found: Mapping[float, SearchResult]) -> SearchResult:
    """The answer of a search that divides its time, by its answers with each limit, s, in ascending order.

    Up to the first limit it is the answer with that one, from there to the second limit with the second, and so on.
    """
    improvements, before = list[tuple[float, float]](), 0.0
    for limit, one in found.items():
        improvements.append((math.nextafter(before, limit), one.value_at(before)))
        improvements += [(seconds, value) for seconds, value in one.improvements if before < seconds <= limit]
        before = limit
    best = max(found.values(), key=lambda one: one.value)
    return replace(best, seconds=one.seconds, improvements=tuple(improvements))


def best_fixed(environments: RedoxEnvs, seconds: float) -> Construct:
    """The construct of the largest mean share over the named conditions that the engine finds.

    Shares are of the best that it finds for each condition within `seconds`.
    """
    placements, generator = environments.placements, np.random.default_rng(0)
    named = environments.named
    (env,) = named(1)
    evaluator, shares = env.evaluator, dict[Condition, float]()
    try:
        for condition in named.space.conditions:
            problem = Problem.under(evaluator, condition, placements)
            found = engine(Search(problem, seconds=seconds, clock=time.process_time), generator)
            if found.value > USEFUL:
                shares[condition] = 1.0 / found.value
        if not shares:
            return Construct.empty(len(named.space.placements))
        weights = tuple(share / len(shares) for share in shares.values())
        joint = Problem(evaluator, tuple(shares), weights, placements)
        search = Search(joint, seconds=FIXED_TIMES * seconds, clock=time.process_time)
        return engine(search, generator).construct
    finally:
        evaluator.close()


_methods: list[Methods] = []


def start_process(setup: Setup) -> None:
    """Prepare a process of the comparison, which ends when the first one does, not at Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _methods.append(Methods(setup))


@one_blas_thread()
def answers(name: str, condition: Condition, seeds: int, fixed: Construct) -> list[SearchResult]:
    """Answers of a method for a condition, one of each seed, in a process that was prepared."""
    return [_methods[0].answer(name, condition, seed, fixed) for seed in range(seeds)]
