"""Comparison of training runs with all other methods, on training and on held-out conditions."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.held_out import held_out
from redox_balancer.design.space import DesignSpace
from redox_balancer.designer.play import BATCH
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.errors import RedoxError
from redox_balancer.evaluation.benchmark import Benchmark, run_benchmark
from redox_balancer.evaluation.methods import (
    USEFUL,
    Method,
    SearchBudget,
    belief_search,
    best_fixed,
    oracle_method,
    plain_oracle,
    policies,
    samples_oracle,
    searches,
)
from redox_balancer.progress import Progress, no_progress
from redox_balancer.runs.fingerprint import differing_entries
from redox_balancer.search.problem import SearchResult

if TYPE_CHECKING:
    import pandas as pd

TRAINING, HELD_OUT = "training", "held-out"


@dataclass(frozen=True)
class Protocol:
    """The conditions of a comparison, and what an answer may cost."""

    sets: Sequence[str] = (TRAINING, HELD_OUT)
    held_out: Path | None = None  # file with held-out combinations of conditions; None for that of the package
    samples: int = 64  # constructs that a policy samples for the best of them
    seeds: int = 5  # of each method that samples
    budget: SearchBudget = field(default_factory=SearchBudget)  # of a search for one answer
    equal_time: bool = False  # all answers of a search together take as long as a training took instead
    time_limit_s: float = 600.0  # of the oracle for one answer
    held_ratios: str | None = None  # other values of the ratios that the runs were trained with


@dataclass(frozen=True)
class Comparison:
    """The benchmark of each set of conditions, by its name, and the best fixed construct.

    `no_useful_design` are conditions under which no construct is of use; no method was run under them.
    """

    space: DesignSpace
    placements: int
    benchmarks: Mapping[str, Benchmark]
    fixed: SearchResult
    no_useful_design: Sequence[str]

    def summary(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""

        def describe(found: SearchResult) -> list[dict[str, Any]]:
            return self.space.describe(found.construct)

        return {
            "placements": self.placements,
            "fixed_construct": describe(self.fixed),
            "no_useful_design": list(self.no_useful_design),
            "hopeless": list(self.no_useful_design),  # its name in version 0.1, for one more version
            "sets": {name: benchmark.summary(describe) for name, benchmark in self.benchmarks.items()},
        }

    def to_frame(self) -> "pd.DataFrame":
        """The rows of all benchmarks as one table, indexed by set of conditions and method."""
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        return pd.concat({name: benchmark.to_frame() for name, benchmark in self.benchmarks.items()}, names=["set"])


def compare_methods(folders: Sequence[Path], protocol: Protocol, *, progress: Progress = no_progress) -> Comparison:
    """Compare runs that differ in their seed alone with searches, the best fixed construct and the oracle.

    Raises
    ------
    RedoxError
        The runs differ in more, one has no checkpoint, or the held-out combinations do not fit them.
    """
    runs = _same_task(folders, protocol.held_ratios)
    environments = runs[0].environments()
    sets = {TRAINING: environments.space.conditions}
    if HELD_OUT in protocol.sets:
        sets[HELD_OUT] = tuple(held_out(sets[TRAINING], protocol.held_out, mixed=environments.space.mixtures))
    conditions = tuple(condition for part in sets.values() for condition in part)
    space = replace(environments.space, conditions=conditions)
    placements, time_limit_s = environments.placements, protocol.time_limit_s
    training_s = statistics.fmean(run.training_s for run in runs)
    budget = protocol.budget
    if protocol.equal_time:
        budget = SearchBudget(None, training_s / sum(len(sets[name]) for name in protocol.sets))
    with ExitStack() as stack:
        envs = replace(environments, space=space).named(BATCH)
        evaluator = stack.enter_context(envs[0].evaluator)
        plain = None if space.is_provable else stack.enter_context(Evaluator(space.plain))
        if plain is None:
            reference = oracle_method(evaluator, placements, time_limit_s=time_limit_s)
        else:
            reference = plain_oracle(evaluator, plain, placements, time_limit_s=time_limit_s)
        optima = {name: _optima(reference, part, progress) for name, part in sets.items()}
        progress("choosing the best fixed construct")
        fixed, choice = best_fixed(
            evaluator, placements, optima[TRAINING], budget, plain=plain, time_limit_s=time_limit_s
        )
        trained, samples, seeds = [run.policy() for run in runs], protocol.samples, protocol.seeds
        methods = [*policies(envs, trained, samples=samples, seeds=seeds, training_s=training_s), fixed]
        if environments.hidden_condition:
            methods.append(belief_search(evaluator, environments))
        else:
            methods += searches(evaluator, placements, budget=budget, seeds=seeds)
            if len(space.parameter_samples) and budget.seconds is not None:
                methods.append(samples_oracle(evaluator, placements, time_limit_s=budget.seconds))
        benchmarks = {}
        for name in protocol.sets:
            progress(f"{name} conditions")
            benchmarks[name] = run_benchmark(optima[name], methods, reference=reference.name, progress=progress)
    no_useful_design = [
        condition.id for condition in conditions if not any(condition in found for found in optima.values())
    ]
    return Comparison(space, placements, benchmarks, choice, no_useful_design)


def _same_task(folders: Sequence[Path], held_ratios: str | None) -> list[TrainedRun]:
    runs = [TrainedRun.open(folder, held_ratios) for folder in folders]
    for run in runs[1:]:
        if differing_entries(run.config["environment"], runs[0].config["environment"]):
            raise RedoxError(
                f"{run.folder} was not trained on the task of {runs[0].folder}",
                hint="compare runs that differ in their seed alone",
            )
    return runs


def _optima(reference: Method, conditions: Sequence[Condition], progress: Progress) -> dict[Condition, SearchResult]:
    optima = {}
    for condition in conditions:
        progress(f"{reference.name}: {condition.id}")
        found = reference.answer(condition, 0)
        if found.bound is None or found.value > USEFUL:
            optima[condition] = found
    if not optima:
        raise RedoxError(
            "no construct is of use under any of these conditions",
            hint="compare runs trained on other conditions or with a larger protein budget",
        )
    return optima
