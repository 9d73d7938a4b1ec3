"""Design methods behind one interface: each answers with a construct for a condition, on one thread."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.designer.play import DRAWS, play_episodes, search_from
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.search.belief import Belief, possible_conditions
from redox_balancer.search.evolutionary import evolutionary
from redox_balancer.search.heuristics import greedy
from redox_balancer.search.local import engine, restarts
from redox_balancer.search.milp import NoSolutionError
from redox_balancer.search.oracle import oracle
from redox_balancer.search.problem import Problem, Search, SearchResult

USEFUL = 1e-6
"""A construct of a smaller value, in healthy respirations, is of no use: shares of it would mean nothing."""

ENGINE, POLICY = "engine with policy", "policy"
UNTRAINED, RESTARTS, EVOLUTIONARY, GREEDY = "engine without policy", "random restarts", "evolutionary", "greedy"
BELIEF, ORACLE, FIXED = "belief search", "oracle", "best fixed construct"
TRAINED, SEARCHES = (ENGINE, POLICY), (UNTRAINED, RESTARTS, EVOLUTIONARY, GREEDY, BELIEF, ORACLE)
LIMITED = (ENGINE, UNTRAINED, RESTARTS, EVOLUTIONARY, GREEDY)
"""Methods that end at the wall time of an answer; the others end by themselves."""

POSSIBLE = 512
"""States that the belief search considers possible."""
FIXED_TIMES = 10
"""Wall time for the choice of the fixed construct, in longest times of an answer."""


@dataclass(frozen=True)
class Setup:
    """What each process of a comparison needs, ready to be pickled.

    Attributes
    ----------
    environments
        The environments that the policies were trained in.
    conditions
        Conditions of the comparison.
    runs
        The runs, which differ in their seed alone.
    seconds
        Wall time of an answer.
    oracle_s
        Wall time of the oracle for an answer, which has none before its proof.
    """

    environments: RedoxEnvs
    conditions: tuple[Condition, ...]
    runs: Sequence[TrainedRun]
    seconds: float
    oracle_s: float

    def seeds(self, sampled: int) -> dict[str, int]:
        """The methods of the task with the number of their seeds, `sampled` for those that draw.

        Each policy counts as a seed.
        """
        trained = len(self.runs)
        if self.environments.hidden_condition:
            return {POLICY: trained, BELIEF: 1, FIXED: 1}
        drawing = {ENGINE: trained if trained > 1 else sampled, UNTRAINED: sampled, RESTARTS: sampled}
        return {**drawing, EVOLUTIONARY: sampled, GREEDY: 1, POLICY: trained, FIXED: 1}


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
        possible = possible_conditions(environments, POSSIBLE) if environments.hidden_condition else ()
        self._belief = Belief(self._evaluator, possible, environments.placements)
        for policy in self._policies:  # what the first episode of a process loads is no part of an answer
            play_episodes(self._envs, setup.conditions[0].id, policy, 1, None)

    def answer(self, name: str, condition: Condition, seed: int, fixed: Construct) -> SearchResult:
        """Answer by a method; `fixed` is the construct of the one that gives the same to all conditions.

        The policy, the fixed construct and the belief search answer with their construct whatever it is worth, the
        others with nothing rather than with one of negative value.
        """
        problem = Problem.under(self._evaluator, condition, self._setup.environments.placements)
        search = Search(problem, seconds=self._setup.seconds if name in LIMITED else None)
        envs, generator, policy = self._envs, np.random.default_rng(seed), self._policies[seed % len(self._policies)]
        run: dict[str, Callable[[], SearchResult | None]] = {
            ENGINE: lambda: search_from(policy, envs, search, generator)[0],
            UNTRAINED: lambda: engine(search, generator),
            RESTARTS: lambda: restarts(search, generator),
            EVOLUTIONARY: lambda: evolutionary(search, generator),
            GREEDY: lambda: greedy(search),
            POLICY: lambda: search.chosen(play_episodes(envs, condition.id, policy, 1, None)[0].construct),
            FIXED: lambda: search.chosen(fixed),
            BELIEF: lambda: self._belief.search(search, condition),
            ORACLE: lambda: oracle(search, time_limit_s=self._setup.oracle_s),
        }
        try:
            return run[name]() or search.found()
        except NoSolutionError:  # the oracle, out of time
            return search.found()


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
            found = engine(Search(Problem.under(evaluator, condition, placements), seconds=seconds), generator)
            if found.value > USEFUL:
                shares[condition] = 1.0 / found.value
        if not shares:
            return Construct.empty(len(named.space.placements))
        weights = tuple(share / len(shares) for share in shares.values())
        joint = Problem(evaluator, tuple(shares), weights, placements)
        return engine(Search(joint, seconds=FIXED_TIMES * seconds), generator).construct
    finally:
        evaluator.close()


_methods: list[Methods] = []


def start_process(setup: Setup) -> None:
    """Prepare a process of the comparison, which ends when the first one does, not at Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    _methods.append(Methods(setup))


def answers(name: str, condition: Condition, seeds: int, fixed: Construct) -> list[SearchResult]:
    """Answers of a method for a condition, one of each seed, in a process that was prepared."""
    return [_methods[0].answer(name, condition, seed, fixed) for seed in range(seeds)]
