"""Everything that can answer "what should be built under this condition", in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from redox_balancer.cell.media import Condition
from redox_balancer.design.env import RedoxEnv
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import State
from redox_balancer.designer.play import play
from redox_balancer.impala.policy import Policy
from redox_balancer.search.belief import Belief
from redox_balancer.search.evolutionary import evolutionary
from redox_balancer.search.heuristics import greedy, random_search
from redox_balancer.search.milp import NoSolutionError
from redox_balancer.search.oracle import oracle
from redox_balancer.search.problem import Problem, Search, SearchResult

NOTHING_HELPS = 1e-6
"""A condition whose optimum is below this has no share of it to speak of."""

FIXED_EVALUATIONS = 1_000
"""Constructs valued to choose a fixed one, where only time is limited otherwise."""

ORACLE = "oracle"
KNOWN_TASK = "milp of the plain task"
ALL_SETS = "milp of all sets"


@dataclass(frozen=True)
class Method:
    """One way to choose a construct.

    Attributes
    ----------
    name
        What tables call it.
    answer
        The construct for a condition, and its cost; the second argument is the seed.
    seeds
        How many seeds give answers of their own: 1 where nothing is drawn.
    training_s
        Wall time spent beforehand, once for all answers, in seconds.
    """

    name: str
    answer: Callable[[Condition, int], SearchResult]
    seeds: int = 1
    training_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchBudget:
    """What a search may spend on one answer: constructs to value and seconds; no limit where None."""

    evaluations: int | None = 1000
    seconds: float | None = None


def searches(evaluator: Evaluator, placements: int, *, limits: SearchBudget, seeds: int) -> list[Method]:
    """Random, greedy and evolutionary search."""

    def begun(condition: Condition) -> Search:
        problem = Problem.under(evaluator, condition, placements)
        return Search(problem, evaluations=limits.evaluations, seconds=limits.seconds)

    def at_random(condition: Condition, seed: int) -> SearchResult:
        search = begun(condition)
        random_search(search, np.random.default_rng(seed))
        return search.found()

    def evolved(condition: Condition, seed: int) -> SearchResult:
        search = begun(condition)
        evolutionary(search, np.random.default_rng(seed))
        return search.found()

    def greedily(condition: Condition, _seed: int) -> SearchResult:
        search = begun(condition)
        greedy(search)
        return search.found()

    return [Method("random", at_random, seeds), Method("greedy", greedily), Method("evolutionary", evolved, seeds)]


def exact(evaluator: Evaluator, placements: int, *, time_limit_s: float) -> Method:
    """The oracle, of a task that one mixed-integer program answers."""

    def answer(condition: Condition, _seed: int) -> SearchResult:
        return oracle(Search(Problem.under(evaluator, condition, placements)), time_limit_s=time_limit_s)

    return Method(ORACLE, answer)


def of_the_plain_task(evaluator: Evaluator, plain: Evaluator, placements: int, *, time_limit_s: float) -> Method:
    """The optimum of `DesignSpace.plain`, valued by the task at hand: what is nearly free to have."""

    def answer(condition: Condition, _seed: int) -> SearchResult:
        chosen = oracle(Search(Problem.under(plain, condition, placements)), time_limit_s=time_limit_s)
        valued = Search(Problem.under(evaluator, condition, placements)).proposed([chosen.construct])
        return replace(
            valued,
            solves=chosen.solves + valued.solves,
            iterations=chosen.iterations,
            seconds=chosen.seconds + valued.seconds,
        )

    return Method(KNOWN_TASK, answer)


def of_all_sets(evaluator: Evaluator, placements: int, *, time_limit_s: float) -> Method:
    """One program with every set of uncertain figures in it, and the best construct it has seen in its time."""

    def answer(condition: Condition, _seed: int) -> SearchResult:
        search = Search(Problem.under(evaluator, condition, placements))
        try:
            return oracle(search, time_limit_s=time_limit_s)
        except NoSolutionError:
            return search.found()

    return Method(ALL_SETS, answer)


def by_belief(evaluator: Evaluator, placements: int, states: Sequence[State]) -> Method:
    """Placements chosen one by one for what the condition may be, by what was measured: it is not told."""
    belief = Belief(evaluator, states, placements)

    def answer(condition: Condition, _seed: int) -> SearchResult:
        search = Search(Problem.under(evaluator, condition, placements))
        return belief.search(search, evaluator.space.state(condition))

    return Method("greedy on belief", answer)


def best_fixed(
    evaluator: Evaluator,
    placements: int,
    optima: Mapping[Condition, SearchResult],
    limits: SearchBudget,
    *,
    plain: Evaluator | None,
    time_limit_s: float,
) -> tuple[Method, SearchResult]:
    """The one construct that reaches most on training conditions, whatever the condition asked about; and its choice.

    Parameters
    ----------
    optima
        The best known answer to each training condition: the construct with the largest mean share of these is
        chosen.
    limits
        What evolution may spend on the choice where there is no oracle.
    plain
        Evaluator of the plain task where the task at hand has no oracle, else None: then the better one of the
        plain task's choice and of what evolution finds is taken.
    time_limit_s
        Longest time of the oracle, in seconds; the best seen until then is taken.
    """
    answered = {condition: found for condition, found in optima.items() if found.value > NOTHING_HELPS}
    states = tuple(evaluator.space.state(condition) for condition in answered)
    weights = tuple(1.0 / (len(answered) * found.value) for found in answered.values())
    chosen = oracle(Search(Problem(plain or evaluator, states, weights, placements)), time_limit_s=time_limit_s)
    if plain is not None:
        problem = Problem(evaluator, states, weights, placements)
        first = Search(problem).proposed([chosen.construct])
        search = Search(problem, evaluations=limits.evaluations or FIXED_EVALUATIONS, seconds=limits.seconds)
        evolutionary(search, np.random.default_rng(0))
        evolved = search.found()
        better = max(first, evolved, key=lambda found: found.value)
        chosen = replace(better, seconds=chosen.seconds + first.seconds + evolved.seconds)

    def answer(condition: Condition, _seed: int) -> SearchResult:
        return Search(Problem.under(evaluator, condition, placements)).proposed([chosen.construct])

    training_s = chosen.seconds + sum(found.seconds for found in optima.values())
    return Method("best fixed construct", answer, training_s=training_s), chosen


def policies(
    envs: Sequence[RedoxEnv], trained: Sequence[Policy], *, samples: int, seeds: int, training_s: float
) -> list[Method]:
    """A policy's most probable construct, and the best of that and `samples` drawn ones.

    To take the best one has to know the condition: where it is not told, there is the first alone.

    Parameters
    ----------
    envs
        Environments whose space knows the conditions asked about, by their own figures.
    trained
        The policies of one training each: each is a seed of its own.
    seeds
        Seeds of the samples where there is one training.
    training_s
        Mean wall time of a training.
    """

    def played(condition: Condition, seed: int, drawn: int) -> SearchResult:
        search = Search(Problem.under(envs[0].evaluator, condition, envs[0].max_placements))
        policy = trained[seed % len(trained)]
        episodes = play(envs, condition.id, policy, 1, None)
        if drawn:
            episodes += play(envs, condition.id, policy, drawn, np.random.default_rng(seed))
        return search.proposed(entry.construct for entry in episodes)

    distinct = len(trained) if len(trained) > 1 else seeds
    alone = Method("policy", lambda condition, seed: played(condition, seed, 0), len(trained), training_s)
    if envs[0].hidden_condition:
        return [alone]
    return [
        alone,
        Method(
            f"policy, best of {samples}",
            lambda condition, seed: played(condition, seed, samples),
            distinct,
            training_s,
        ),
    ]
