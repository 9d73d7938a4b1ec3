"""Every search for one answer behind one call."""

from typing import Literal

import numpy as np

from redox_balancer.resources import one_blas_thread
from redox_balancer.search.problem import Problem, Search, SearchResult

SearchName = Literal["random", "greedy", "evolutionary", "local", "milp"]

EVALUATIONS = 1_000  # constructs that a search values which has no other limit and does not end by itself


def limited(problem: Problem, name: SearchName, *, evaluations: int | None, seconds: float | None) -> Search:
    """Begin a search with its limits: `EVALUATIONS` where none is given, and none of constructs for a program."""
    if evaluations is None and seconds is None and name != "greedy":
        evaluations = EVALUATIONS
    return Search(problem, evaluations=None if name == "milp" else evaluations, seconds=seconds)


@one_blas_thread()
def run_search(search: Search, name: SearchName, seed: int = 0, time_limit_s: float = 600.0) -> SearchResult:
    """Run a search and return its answer.

    Each method is imported when it is used, for CatCMA and HiGHS take time to load. `time_limit_s` is that of the
    mixed-integer program; the others end at the limits of `search`.
    """
    generator = np.random.default_rng(seed)
    if name == "milp":
        from redox_balancer.search.oracle import oracle  # noqa: PLC0415

        return oracle(search, time_limit_s=time_limit_s)
    if name == "local":
        from redox_balancer.search.local import engine  # noqa: PLC0415

        return engine(search, generator)
    if name == "evolutionary":
        from redox_balancer.search.heuristics import evolutionary  # noqa: PLC0415

        evolutionary(search, generator)
    elif name == "random":
        from redox_balancer.search.heuristics import random_search  # noqa: PLC0415

        random_search(search, generator)
    else:
        from redox_balancer.search.heuristics import greedy  # noqa: PLC0415

        greedy(search)
    return search.found()
