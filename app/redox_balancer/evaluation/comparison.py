"""Training runs against everything they are measured with, on training and on held-out conditions."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from redox_balancer.cell.media import Condition
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.held_out import held_out
from redox_balancer.design.space import DesignSpace, State
from redox_balancer.designer.play import BATCH
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.errors import RedoxError
from redox_balancer.evaluation.benchmark import Benchmark, compare
from redox_balancer.evaluation.methods import (
    NOTHING_HELPS,
    Method,
    SearchBudget,
    best_fixed,
    by_belief,
    exact,
    of_all_sets,
    of_the_plain_task,
    policies,
    searches,
)
from redox_balancer.progress import Progress, no_progress
from redox_balancer.search.problem import SearchResult

TRAINING, HELD_OUT = "training", "held-out"

BELIEVED = 64
"""States that a search considers where the condition is not told."""


@dataclass(frozen=True)
class Protocol:
    """What everybody is asked and what an answer may cost.

    Attributes
    ----------
    sets
        `TRAINING`, `HELD_OUT` or both.
    held_out
        List of held-out combinations; None for the package's.
    samples
        Constructs a policy draws for the best of them.
    seeds
        Seeds of everything that is drawn.
    limits
        What a search may spend on an answer.
    equal_time
        Whether each search has as many seconds for all its answers together as a training took; it replaces what
        `limits` says of evaluations and seconds.
    time_limit_s
        Longest time of the oracle for an answer, in seconds.
    """

    sets: Sequence[str] = (TRAINING, HELD_OUT)
    held_out: Path | None = None
    samples: int = 64
    seeds: int = 5
    limits: SearchBudget = field(default_factory=SearchBudget)
    equal_time: bool = False
    time_limit_s: float = 600.0


@dataclass(frozen=True)
class Comparison:
    """How it ended.

    Attributes
    ----------
    space, placements
        What could be built, and K.
    benchmarks
        By set.
    fixed
        The best fixed construct.
    hopeless
        Conditions under which no construct is worth anything; nobody was asked about them.
    """

    space: DesignSpace
    placements: int
    benchmarks: Mapping[str, Benchmark]
    fixed: SearchResult
    hopeless: Sequence[str]

    def summary(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""

        def describe(found: SearchResult) -> list[dict[str, Any]]:
            return self.space.describe(found.construct)

        return {
            "placements": self.placements,
            "fixed_construct": describe(self.fixed),
            "hopeless": list(self.hopeless),
            "sets": {name: benchmark.summary(describe) for name, benchmark in self.benchmarks.items()},
        }


def compare_methods(folders: Sequence[Path], rules: Protocol, *, progress: Progress = no_progress) -> Comparison:
    """Compare runs that differ in nothing but their seed with searches, the best fixed construct and the oracle.

    Raises
    ------
    RedoxError
        The runs differ in more, one holds no policy, or the held-out list does not fit them.
    """
    runs = _alike(folders)
    environments = runs[0].environments()
    sets = {TRAINING: environments.space.conditions}
    if HELD_OUT in rules.sets:
        sets[HELD_OUT] = tuple(held_out(sets[TRAINING], rules.held_out, mixed=environments.space.mixtures))
    asked_about = tuple(condition for conditions in sets.values() for condition in conditions)
    space = replace(environments.space, conditions=asked_about)
    envs = replace(environments, space=space).named(BATCH)
    evaluator, placements = envs[0].evaluator, environments.placements
    training_s = statistics.fmean(run.training_s for run in runs)
    limits = rules.limits
    if rules.equal_time:
        limits = SearchBudget(None, training_s / sum(len(sets[name]) for name in rules.sets))

    plain = None if space.is_plain else Evaluator(space.plain)
    if plain is None:
        reference = exact(evaluator, placements, time_limit_s=rules.time_limit_s)
    else:
        reference = of_the_plain_task(evaluator, plain, placements, time_limit_s=rules.time_limit_s)
    optima = {name: _optima(reference, conditions, progress) for name, conditions in sets.items()}
    hopeless = [condition.id for condition in asked_about if not any(condition in found for found in optima.values())]
    progress("choosing the best fixed construct")
    fixed, choice = best_fixed(
        evaluator, placements, optima[TRAINING], limits, plain=plain, time_limit_s=rules.time_limit_s
    )
    methods = [
        *policies(
            envs,
            [run.policy() for run in runs],
            samples=rules.samples,
            seeds=rules.seeds,
            training_s=training_s,
        ),
        fixed,
    ]
    if environments.hidden_condition:
        methods.append(by_belief(evaluator, placements, _possible_states(environments)))
    else:
        methods += searches(evaluator, placements, limits=limits, seeds=rules.seeds)
        if len(space.parameter_samples) and limits.seconds is not None:
            methods.append(of_all_sets(evaluator, placements, time_limit_s=limits.seconds))
    benchmarks = {}
    for name in rules.sets:
        progress(f"asking about {name} conditions")
        benchmarks[name] = compare(optima[name], methods, reference=reference.name, progress=progress)
    evaluator.close()
    if plain is not None:
        plain.close()
    return Comparison(space, placements, benchmarks, choice, hopeless)


def _possible_states(environments: RedoxEnvs) -> list[State]:
    """States drawn as those of the training are: what is believed before anything is measured."""
    (env,) = environments(1)
    states = []
    for seed in range(BELIEVED):
        env.reset(seed=seed)
        states.append(env.state)
    env.evaluator.close()
    return states


def _alike(folders: Sequence[Path]) -> list[TrainedRun]:
    runs = [TrainedRun.open(folder) for folder in folders]
    for run in runs[1:]:
        if run.config["environment"] != runs[0].config["environment"]:
            raise RedoxError(
                f"{run.folder} was not trained on what {runs[0].folder} was",
                hint="compare runs that differ in --seed alone",
            )
    return runs


def _optima(reference: Method, conditions: Sequence[Condition], progress: Progress) -> dict[Condition, SearchResult]:
    optima = {}
    for condition in conditions:
        progress(f"{reference.name}: {condition.id}")
        found = reference.answer(condition, 0)
        if found.bound is None or found.value > NOTHING_HELPS:
            optima[condition] = found
    if not optima:
        raise RedoxError(
            "no construct is worth anything under any of these conditions",
            hint="redox search milp shows it; choose other conditions or a larger budget",
        )
    return optima
