"""Comparison of training runs with all other methods, on conditions that no policy was trained on."""

import hashlib
import itertools
import json
import math
import multiprocessing
import statistics
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.fingerprint import space_fingerprint
from redox_balancer.design.held_out import held_out
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.states import held_out_states
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.errors import RedoxError
from redox_balancer.evaluation.benchmark import Benchmark, ProvenBest, proven_best, state_of, steps
from redox_balancer.evaluation.methods import ORACLE, USEFUL, Setup, answers, best_fixed, start_process
from redox_balancer.progress import Progress, no_progress
from redox_balancer.resources import processor
from redox_balancer.runs.record import differing_entries
from redox_balancer.search.exhaustive import ExhaustiveReference, exhaustive, largest_count
from redox_balancer.search.problem import SearchResult
from redox_balancer.version import __version__

STATES, PAIRS, TRAINING, VALIDATION = "states", "pairs", "training", "validation"
NAMED = "named conditions"
"""What `TRAINING` is called where the policies are asked about another task than that of their training."""
SEEDS = {STATES: 20_001, VALIDATION: 30_001}
"""Seeds of the states that are reported, and of those that settings are chosen on."""
ENUMERABLE = 1_000_000
"""Valuations for one condition up to which the best construct is looked for among all: seconds on one core."""


@dataclass(frozen=True)
class Protocol:
    """The conditions of a comparison, and what an answer may cost; None chooses by the task."""

    sets: Sequence[str] = (STATES, PAIRS)  # names of the sets of conditions
    states: int = 28  # in a set of them
    held_out: Path | None = None  # file with held-out combinations of conditions; None for that of the package
    seeds: int = 5  # of each method that draws
    seconds: float | None = None  # time at which the methods are compared, s
    longest: float | None = None  # time up to which each search goes on, s
    oracle_s: float = 600.0  # time of the oracle, s
    elsewhere: Mapping[str, Any] = field(default_factory=dict)  # settings in place of the training's
    jobs: int = 1  # processes, each on one thread

    def of(self, environments: RedoxEnvs) -> tuple[float, float]:
        """`seconds` and `longest` for a task; where the condition is hidden, `seconds` is infinite."""
        seconds, longest = (1.0, 2.0) if len(environments.space.parameter_samples) else (0.1, 1.0)
        hidden = environments.hidden_condition
        seconds = self.seconds or (math.inf if hidden else seconds)
        longest = self.longest or longest
        return seconds, longest if hidden else max(seconds, longest)


def compare_methods(
    folders: Sequence[Path],
    protocol: Protocol,
    *,
    earlier: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Compare runs that differ in their seed alone with searches, the best fixed construct and the oracle.

    Returns everything as data, ready for JSON. Optima that an `earlier` summary has from valuing every construct are
    taken from it where it is of the same task. A RedoxError if the runs differ in more, one has no checkpoint, or the
    held-out combinations do not fit them.
    """
    runs = _same_task(folders, protocol.elsewhere)
    environments = runs[0].environments()
    sets = {
        NAMED if name == TRAINING and runs[0].changed else name: _conditions(name, environments.space, protocol)
        for name in protocol.sets
    }
    conditions = tuple(dict.fromkeys(condition for part in sets.values() for condition in part))
    if environments.space.ratios:
        environments.space.ratios.make_tables(conditions)
    placements, task = environments.placements, task_checksum(environments)
    training_s = statistics.fmean(run.training_s for run in runs)
    seconds, longest = protocol.of(environments)
    space = replace(environments.space, conditions=conditions)
    enumerated: dict[Condition, ProvenBest] = {}
    if not space.is_provable and _is_enumerable(environments):
        enumerated = optima_of_all(space, placements, earlier_optima(earlier, task), protocol.jobs, progress)
    progress("choosing the best fixed construct")
    fixed = best_fixed(environments, min(longest, 1.0))
    setup = Setup(environments, conditions, runs, sorted({*steps(longest), min(seconds, longest)}), protocol.oracle_s)
    with _processes(protocol.jobs, setup) as pool:
        answered: dict[str, Mapping[Condition, Sequence[SearchResult]]] = {}
        proven: dict[Condition, ProvenBest | None] = dict(enumerated)
        if space.is_provable:
            answered = _answered(pool, {ORACLE: 1}, conditions, fixed, progress)
            for condition, (found,) in answered[ORACLE].items():
                proven[condition] = proven_best(found, space.describe(found.construct))
        useless = {condition for condition, optimum in proven.items() if optimum and optimum.value <= USEFUL}
        asked = [condition for condition in conditions if condition not in useless]
        answered |= _answered(pool, setup.seeds(protocol.seeds), asked, fixed, progress)
    useless |= {
        condition
        for condition in asked
        if not any(found.value > USEFUL for by in answered.values() for found in by[condition])
    }
    sets |= _with_new_enzymes(sets, proven, runs[0].config["environment"]["placements"], space)
    times = setup.times
    if environments.hidden_condition:  # where every method ends by itself
        times = steps(max(one.seconds for by in answered.values() for found in by.values() for one in found))
    benchmarks = {}
    for name, part in sets.items():
        kept = [condition for condition in part if condition not in useless]
        if not kept:
            raise RedoxError(
                f"no construct is of use under any of the conditions of the set {name!r}",
                hint="compare runs trained on other conditions or with a larger protein budget",
            )
        benchmarks[name] = Benchmark(
            kept,
            [proven.get(condition) for condition in kept],
            {
                method: [list(row) for row in zip(*(by[condition] for condition in kept), strict=True)]
                for method, by in answered.items()
            },
            seconds,
            times,
            training_s,
        )
    no_useful_design = [condition.id for condition in conditions if condition in useless]
    return {
        "version": __version__,
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "runs": [_portable(str(run.folder)) for run in runs],
        "task": {name: _portable(value) for name, value in runs[0].task.model_dump(mode="json").items()},
        "task_checksum": task,
        "training_s": training_s,
        "training_steps": statistics.fmean(rows[-1]["steps"] if (rows := run.metrics()) else 0 for run in runs),
        "placements": placements,
        "fixed_construct": space.describe(fixed),
        "no_useful_design": no_useful_design,
        "hopeless": no_useful_design,  # its name in version 0.1, for one more version
        "sets": {name: benchmark.summary(space) for name, benchmark in benchmarks.items()},
        "optima": [
            {"state": state_of(condition), "value": optimum.value, "construct": optimum.construct}
            for condition, optimum in enumerated.items()
        ],
    }


def _portable(value: Any) -> Any:
    """The name of a file or folder in place of its path on this machine; results are published."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def task_checksum(environments: RedoxEnvs) -> str:
    """Checksum of everything that the value of a construct depends on, except the condition."""
    space = {**space_fingerprint(environments.space), "conditions": None, "mixtures": None}
    return hashlib.sha256(json.dumps([space, environments.placements], sort_keys=True).encode()).hexdigest()


def independent_states(space: DesignSpace, count: int, seed: int) -> tuple[Condition, ...]:
    """`count` different states of the box by a seed, without those that are a condition of the training.

    A RedoxError if there is none.
    """
    trained = {condition.changes for condition in space.conditions}
    drawn = {state.changes: state for state in reversed(held_out_states(space, 10 * count, seed))}
    states = [state for changes, state in reversed(drawn.items()) if changes not in trained][:count]
    if not states:
        raise RedoxError(
            "the conditions of this training limit nothing, so there are no states but those trained on",
            hint="compare on the training conditions",
            settings=("on",),
        )
    return tuple(space.ratios.holding(state) if space.ratios else state for state in states)


def _conditions(name: str, space: DesignSpace, protocol: Protocol) -> tuple[Condition, ...]:
    if name == TRAINING:
        return space.conditions
    if name == PAIRS:
        return tuple(held_out(space.conditions, protocol.held_out, mixed=space.mixtures))
    return independent_states(space, protocol.states, SEEDS[name])


def _with_new_enzymes(
    sets: Mapping[str, Sequence[Condition]],
    proven: Mapping[Condition, ProvenBest | None],
    trained: Sequence[str],
    space: DesignSpace,
) -> dict[str, tuple[Condition, ...]]:
    """Of each set the conditions whose proven best construct takes a placement that the training did not offer."""
    new = {placement.id for placement in space.placements}.difference(trained)

    def takes_new(condition: Condition) -> bool:
        best = proven.get(condition)
        return best is not None and any(placed["placement"] in new for placed in best.construct)

    found = {f"{name}, best with new enzymes": tuple(filter(takes_new, part)) for name, part in sets.items()}
    return {name: part for name, part in found.items() if part}


def _same_task(folders: Sequence[Path], elsewhere: Mapping[str, Any]) -> list[TrainedRun]:
    runs = [TrainedRun.open(folder).elsewhere(**elsewhere) for folder in folders]
    for run in runs[1:]:
        if differing_entries(run.config["environment"], runs[0].config["environment"]):
            raise RedoxError(
                f"{run.folder} was not trained on the task of {runs[0].folder}",
                hint="compare runs that differ in their seed alone",
            )
    return runs


def _is_enumerable(environments: RedoxEnvs) -> bool:
    space = environments.space
    valued = largest_count(space, environments.placements) * max(1, len(space.parameter_samples))
    return valued <= ENUMERABLE and space.ratios is None and not environments.measurement.of_sample


def earlier_optima(earlier: Mapping[str, Any] | None, task: str) -> dict[str, ProvenBest]:
    """Optima of a summary by the state of their condition as JSON; none of a summary of another task."""
    if earlier is None or earlier.get("task_checksum") != task:
        return {}
    return {json.dumps(each["state"]): ProvenBest(each["value"], each["construct"]) for each in earlier["optima"]}


def optima_of_all(
    space: DesignSpace, placements: int, known: Mapping[str, ProvenBest], processes: int, progress: Progress
) -> dict[Condition, ProvenBest]:
    """The best of all constructs under each condition of a space; `known` are those that need no search."""
    optima = {c: known[key] for c in space.conditions if (key := json.dumps(state_of(c))) in known}
    missing = tuple(condition for condition in space.conditions if condition not in optima)
    phase, done = "valuing every construct", itertools.count(1)
    progress(phase, 0, len(missing))

    def counted(_: ExhaustiveReference) -> None:
        progress(phase, next(done), len(missing))

    if missing:
        found = exhaustive(
            replace(space, conditions=missing), placements, keep=1, processes=processes, progress=counted
        )
        for condition in missing:
            best = found[condition.id].best[0]
            optima[condition] = ProvenBest(max(0.0, best.outcome.value), space.describe(best.construct))
    return optima


@contextmanager
def _processes(count: int, setup: Setup) -> Iterator[ProcessPoolExecutor]:
    """Processes that end without finishing what is left at an error or Ctrl-C."""
    # Workers are spawned: a fork of a process with threads of Ray or torch can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, start_process, (setup,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _answered(
    pool: ProcessPoolExecutor,
    methods: Mapping[str, int],
    conditions: Sequence[Condition],
    fixed: Construct,
    progress: Progress,
) -> dict[str, Mapping[Condition, Sequence[SearchResult]]]:
    """Answers of each method, with so many seeds, by condition."""
    found: dict[str, dict[Condition, Sequence[SearchResult]]] = {name: {} for name in methods}
    asked = {
        pool.submit(answers, name, condition, seeds, fixed): (name, condition)
        for condition in conditions
        for name, seeds in methods.items()
    }
    phase = ORACLE if ORACLE in methods else "answers of all methods"
    progress(phase, 0, len(asked))
    for done, future in enumerate(as_completed(asked), 1):
        name, condition = asked[future]
        found[name][condition] = future.result()
        progress(phase, done, len(asked))
    return dict(found)
