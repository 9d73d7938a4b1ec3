"""Searches for the best construct, without learning."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from redox_balancer.api.inputs import require_task
from redox_balancer.api.values import Evaluation, EvaluationTable
from redox_balancer.cell.conditions import HEALTHY, Condition
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.named_construct import NamedConstruct
from redox_balancer.design.task import Task
from redox_balancer.designer.proposal import find_condition
from redox_balancer.errors import RedoxError
from redox_balancer.search.front import ParetoFront
from redox_balancer.search.front import pareto_front as pareto_search
from redox_balancer.search.problem import Problem, require_limits
from redox_balancer.search.run import SearchName, limited, run_search

if TYPE_CHECKING:
    import pandas as pd

SearchMethod = Literal[SearchName, "exhaustive"]


@dataclass(frozen=True)
class SearchOutcome:
    """The answer of a search and its cost.

    Attributes
    ----------
    method, condition
        The method, and the id of the condition.
    best
        The best construct, or with `method="exhaustive"` the best ones, best first.
    evaluations, solves, iterations
        Constructs evaluated, linear programs solved, and simplex iterations of the mixed-integer solver.
    seconds
        Wall time.
    bound
        Proven upper bound of the value of every construct, by `milp`, or `local` where it has one; None else.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> found = rb.search(rb.Task(placements=1), "complex_iii_closed", method="exhaustive", top=3)
    >>> found.to_frame()[["construct", "value", "protein"]].round(4)
             construct   value  protein
    0   LBNOX_c 0.1 %  0.5822   0.0010
    1  LBNOX_c 0.03 %  0.2310   0.0003
    2     AOX_m 0.03 %  0.0795   0.0003
    """

    method: SearchMethod
    condition: str
    best: tuple[Evaluation, ...]
    evaluations: int
    solves: int
    iterations: int
    seconds: float
    bound: float | None

    @property
    def construct(self) -> NamedConstruct:
        """The best construct."""
        return self.best[0].construct

    @property
    def value(self) -> float:
        """Its value by the task, as of `Evaluation`."""
        return self.best[0].value

    def __str__(self) -> str:
        return str(self.best[0])

    def to_frame(self) -> "pd.DataFrame":
        """Table of `best`, as of `EvaluationTable`."""
        return EvaluationTable(self.best).to_frame()


def search(
    task: Task,
    condition: str = HEALTHY,
    method: SearchMethod = "greedy",
    *,
    seed: int = 0,
    evaluations: int | None = None,
    seconds: float | None = None,
    time_limit_s: float = 600.0,
    top: int = 1,
) -> SearchOutcome:
    """Search for the construct of the highest value under a condition.

    Parameters
    ----------
    task
        The cell, its library, `placements` at most and the protein budgets.
    condition
        Id of a condition of the task, `a+b` for two at once.
    method
        `random`, `greedy` (adds the placement that raises the value most), `evolutionary` (CatCMA), `local` (the
        search of `design` without a policy), `milp` (one mixed-integer program, HiGHS: the optimum with proof) or
        `exhaustive`.
    seed
        Seed of the draws of random, evolutionary and local search.
    evaluations, seconds
        Constructs and wall time after which random, greedy, evolutionary or local search ends; 1,000 constructs where
        neither is given, and no limit for greedy search.
    time_limit_s
        Time after which `milp` ends, with the best construct so far and a bound; so it does after `seconds`.
    top
        Number of constructs that `exhaustive` returns.

    Raises
    ------
    RedoxError
        The condition or the method is unknown, a limit is not above 0, the cell does not grow, the task is none that
        `milp` solves, or there are too many constructs for `exhaustive`.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> print(rb.search(rb.Task(), "complex_iii_closed", method="greedy").construct)
    LBNOX_c 0.1 % + TPNOX_c 0.03 %
    >>> best = rb.search(rb.Task(), "complex_iii_closed", method="milp")
    >>> print(best.construct)
    LBNOX_c 0.1 % + TPNOX_c 0.03 %
    >>> round(best.value, 4), round(best.bound, 4)
    (0.7006, 0.7006)
    """
    if method not in get_args(SearchMethod):
        raise RedoxError(f"unknown method {method!r}", hint=f"known: {', '.join(get_args(SearchMethod))}")
    require_limits(seed, evaluations=evaluations, seconds=seconds, time_limit_s=time_limit_s, top=top)
    space = require_task(task).space()
    chosen = find_condition(space, condition)
    with Evaluator(space, cache_entries=0) if method == "exhaustive" else Evaluator(space) as evaluator:
        if method == "exhaustive":
            return _exhaustive(task, evaluator, chosen, top)
        problem = Problem.under(evaluator, chosen, task.placements)
        under_way = limited(problem, method, evaluations=evaluations, seconds=seconds)
        found = run_search(under_way, method, seed, time_limit_s)
        best = (Evaluation.of(evaluator, found.construct, chosen),)
        cost = found.evaluations, found.solves, found.iterations, found.seconds, found.bound
        return SearchOutcome(method, chosen.id, best, *cost)


def pareto_front(task: Task, condition: str = HEALTHY, *, seconds: float | None = 60.0, seed: int = 0) -> ParetoFront:
    """The constructs that no other one matches in growth, NAD(P)H taken and protein at once.

    They are valued by capacity and the parameters of the library, whatever the reward of the task.

    Parameters
    ----------
    task
        The cell, its library, budgets and largest number of placements.
    condition
        Id of a condition of the task, `a+b` for two at once.
    seconds
        Limit of wall time, after which the front has what was found and is not `complete`; None for none.
    seed
        Seed of the random constructs that the search starts from.

    Raises
    ------
    RedoxError
        The condition is unknown, the limit is not above 0, or the cell does not grow.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> front = rb.pareto_front(rb.Task(placements=1), "complex_i_closed")
    >>> front.complete
    True
    """
    require_limits(seed, seconds=seconds)
    space = require_task(task).space().plain
    with Evaluator(space) as evaluator:
        return pareto_search(evaluator, find_condition(space, condition), task.placements, seconds=seconds, seed=seed)


def _exhaustive(task: Task, evaluator: Evaluator, condition: Condition, top: int) -> SearchOutcome:
    from redox_balancer.search.exhaustive import refuse_too_many, search_condition  # noqa: PLC0415

    refuse_too_many(evaluator.space, task.placements)
    found = search_condition(evaluator, condition, task.placements, top)
    best = tuple(Evaluation.of(evaluator, each.construct, condition) for each in found.best)
    return SearchOutcome("exhaustive", condition.id, best, found.constructs, found.solves, 0, found.seconds, None)
