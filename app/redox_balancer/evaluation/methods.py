"""Design methods behind one interface: each answers with a construct for a condition, and the cost of the answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.designer.play import candidates, most_valuable, play_episodes
from redox_balancer.impala.policy import Policy
from redox_balancer.search.belief import Belief
from redox_balancer.search.evolutionary import evolutionary
from redox_balancer.search.milp import NoSolutionError
from redox_balancer.search.oracle import oracle
from redox_balancer.search.problem import Problem, Search, SearchResult
from redox_balancer.search.run import SearchName, run_search

USEFUL = 1e-6
"""A construct of a smaller value, in healthy respirations, is of no use: shares of it would mean nothing."""

FIXED_EVALUATIONS = 1_000
"""Constructs evaluated to choose the fixed one, where the protocol limits time alone."""

ORACLE = "oracle"
PLAIN_ORACLE = "milp of the plain task"
SAMPLES_ORACLE = "milp of all sets"


@dataclass(frozen=True)
class Method:
    """A design method: a function of a condition and a seed that returns a construct and the cost of finding it.

    A deterministic method has one seed; `training_s` is the wall time spent once, before all answers.
    """

    name: str
    answer: Callable[[Condition, int], SearchResult]
    seeds: int = 1
    training_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchBudget:
    """Limits of a search for one answer: constructs evaluated and wall time in seconds; None is no limit."""

    evaluations: int | None = 1000
    seconds: float | None = None


def searches(evaluator: Evaluator, placements: int, *, budget: SearchBudget, seeds: int) -> list[Method]:
    """Random, greedy and evolutionary search."""

    def start(condition: Condition) -> Search:
        problem = Problem.under(evaluator, condition, placements)
        return Search(problem, evaluations=budget.evaluations, seconds=budget.seconds)

    def method(name: SearchName, count: int) -> Method:
        return Method(name, lambda condition, seed: run_search(start(condition), name, seed), count)

    return [method("random", seeds), method("greedy", 1), method("evolutionary", seeds)]


def oracle_method(evaluator: Evaluator, placements: int, *, time_limit_s: float) -> Method:
    """The oracle, for a task that one mixed-integer program solves."""

    def answer(condition: Condition, _seed: int) -> SearchResult:
        return oracle(Search(Problem.under(evaluator, condition, placements)), time_limit_s=time_limit_s)

    return Method(ORACLE, answer)


def plain_oracle(evaluator: Evaluator, plain: Evaluator, placements: int, *, time_limit_s: float) -> Method:
    """The optimum of the plain task (`DesignSpace.plain`) by its value in the task at hand: a cheap substitute.

    The answer is the empty construct where that optimum is worth less than nothing in the task at hand.
    """

    def answer(condition: Condition, _seed: int) -> SearchResult:
        chosen = oracle(Search(Problem.under(plain, condition, placements)), time_limit_s=time_limit_s)
        problem = Problem.under(evaluator, condition, placements)
        valued = Search(problem).proposed(chosen.construct)
        return replace(
            valued,
            solves=chosen.solves + valued.solves,
            iterations=chosen.iterations,
            seconds=chosen.seconds + valued.seconds,
        )

    return Method(PLAIN_ORACLE, answer)


def samples_oracle(evaluator: Evaluator, placements: int, *, time_limit_s: float) -> Method:
    """One mixed-integer program over all parameter samples; its best construct when the time is up."""

    def answer(condition: Condition, _seed: int) -> SearchResult:
        search = Search(Problem.under(evaluator, condition, placements))
        try:
            return oracle(search, time_limit_s=time_limit_s)
        except NoSolutionError:
            return search.found()

    return Method(SAMPLES_ORACLE, answer)


def belief_search(evaluator: Evaluator, environments: RedoxEnvs) -> Method:
    """Search under a hidden condition: a belief over possible states, updated by growth and capacity."""
    belief = Belief.of(environments, evaluator)

    def answer(condition: Condition, seed: int) -> SearchResult:
        search = Search(Problem.under(evaluator, condition, environments.placements))
        return belief.search(search, np.random.default_rng(seed))

    return Method("greedy on belief", answer)


def best_fixed(
    evaluator: Evaluator,
    placements: int,
    optima: Mapping[Condition, SearchResult],
    budget: SearchBudget,
    *,
    plain: Evaluator | None,
    time_limit_s: float,
) -> tuple[Method, SearchResult]:
    """The construct of the largest mean share over the training conditions, whatever the condition; and its choice.

    Shares refer to the best known answers `optima`. Where the task at hand has no oracle, there is an evaluator of
    the plain task, and the better of its optimum and of what evolutionary search finds within `budget` is taken.
    """
    useful = {condition: found for condition, found in optima.items() if found.value > USEFUL}
    conditions = tuple(useful)
    weights = tuple(1.0 / (len(useful) * found.value) for found in useful.values())
    chosen = oracle(Search(Problem(plain or evaluator, conditions, weights, placements)), time_limit_s=time_limit_s)
    if plain is not None:
        problem = Problem(evaluator, conditions, weights, placements)
        first = Search(problem).chosen(chosen.construct)
        search = Search(problem, evaluations=budget.evaluations or FIXED_EVALUATIONS, seconds=budget.seconds)
        evolutionary(search, np.random.default_rng(0))
        evolved = search.found()
        better = max(first, evolved, key=lambda found: found.value)
        chosen = replace(better, seconds=chosen.seconds + first.seconds + evolved.seconds)

    def answer(condition: Condition, _seed: int) -> SearchResult:
        return Search(Problem.under(evaluator, condition, placements)).chosen(chosen.construct)

    training_s = chosen.seconds + sum(found.seconds for found in optima.values())
    return Method("best fixed construct", answer, training_s=training_s), chosen


def policies(
    envs: Sequence[RedoxEnv], trained: Sequence[Policy], *, samples: int, seeds: int, training_s: float
) -> list[Method]:
    """The construct of the most probable actions of a policy, and the best of that and `samples` sampled ones.

    Both answer with the empty construct where theirs is worth less than nothing. Under a hidden condition there is
    the first method alone, and it answers without the value, see `candidates`.

    Each of the policies counts as a seed; if there is one, its samples have `seeds`. `envs` are at the named
    values of the conditions.
    """

    def played(condition: Condition, seed: int, sampled: int) -> SearchResult:
        search = Search(Problem.under(envs[0].evaluator, condition, envs[0].max_placements))
        policy = trained[seed % len(trained)]
        drawn = play_episodes(envs, condition.id, policy, sampled, np.random.default_rng(seed))
        return search.chosen(most_valuable(candidates(envs, condition.id, policy, drawn)).construct)

    def method(name: str, sampled: int, count: int) -> Method:
        return Method(name, lambda condition, seed: played(condition, seed, sampled), count, training_s)

    alone = method("policy", 0, len(trained))
    if envs[0].hidden_condition:
        return [alone]
    return [alone, method(f"policy, best of {samples}", samples, len(trained) if len(trained) > 1 else seeds)]
