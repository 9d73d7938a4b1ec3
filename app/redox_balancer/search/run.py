"""Every search for one answer behind one call."""

from typing import Literal

import numpy as np

from redox_balancer.resources import one_blas_thread
from redox_balancer.search.problem import Search, SearchResult

SearchName = Literal["random", "greedy", "evolutionary", "local", "milp"]


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
        from redox_balancer.search.evolutionary import evolutionary  # noqa: PLC0415

        evolutionary(search, generator)
    elif name == "random":
        from redox_balancer.search.heuristics import random_search  # noqa: PLC0415

        random_search(search, generator)
    else:
        from redox_balancer.search.heuristics import greedy  # noqa: PLC0415

        greedy(search)
    return search.found()
