"""The figures of a benchmark as data and as a page of documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from redox_balancer.bench.learning import LearnerFigures, MemoryFigures, TrainFigures
from redox_balancer.bench.stepping import StepFigures

ACTORS = (30, 60, 120)
"""Numbers of actors that a prediction is made for."""

Row = tuple[str, str, str]


@dataclass
class Figures:
    """What a benchmark found.

    Attributes
    ----------
    about
        Hardware and versions.
    core_seconds
        Time of `redox build-core` on the given model; None where none was given.
    step, memory, learner, train
        One entry for each model.
    """

    about: Mapping[str, Any]
    core_seconds: float | None = None
    step: list[StepFigures] = field(default_factory=list)
    memory: list[MemoryFigures] = field(default_factory=list)
    learner: list[LearnerFigures] = field(default_factory=list)
    train: list[TrainFigures] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "about": dict(self.about),
            **({} if self.core_seconds is None else {"core_seconds": self.core_seconds}),
            **{
                part: [asdict(figures) for figures in found]
                for part in ("step", "memory", "learner", "train")
                if (found := getattr(self, part))
            },
            **({"predictions": predictions} if (predictions := self.predictions()) else {}),
        }

    def predictions(self) -> list[dict[str, Any]]:
        """Steps per second of many actors, each with a core of its own, and what limits them.

        An actor gives what it gave alone, t_env + t_act + t_overhead together, until the learner is full.
        """
        learners = {figures.model: figures.learner_transitions_per_s for figures in self.learner}
        return [
            {
                "model": figures.model,
                "actors": actors,
                "steps_per_s": min(actors * figures.steps_per_s, learners[figures.model]),
                "limit": "actors" if actors * figures.steps_per_s < learners[figures.model] else "learner",
            }
            for figures in self.memory
            if figures.model in learners
            for actors in ACTORS
        ]

    def rows(self) -> list[Row]:
        """Rows of a table: what was measured, on which model, and the figure."""
        rows: list[Row] = []
        for step in self.step:
            rows += [
                ("environment steps/s in one process", step.model, f"{step.steps_per_s:,.0f}"),
                ("the same by the first system's way", step.model, f"{step.reference_steps_per_s:,.1f}"),
                ("ratio", step.model, f"{step.ratio:,.0f}"),
                ("the same with all caches off", step.model, f"{step.uncached_steps_per_s:,.0f}"),
                (f"the last tenth of {step.steps:,} steps, steps/s", step.model, f"{step.warm_steps_per_s:,.0f}"),
                ("optima that needed no solve", step.model, f"{100 * step.hit_rate:.2f} %"),
                ("look-ups that a solve contradicted", step.model, f"{step.disagreements}"),
                ("time of a collector outside the environment", step.model, f"{100 * step.outside_share:.1f} %"),
            ]
        for memory in self.memory:
            rows += [
                ("unique memory of an actor (USS)", memory.model, f"{memory.actor_uss_mb:.1f} MB"),
                (
                    f"its growth per 10,000 steps, second half of {memory.steps:,}",
                    memory.model,
                    f"{memory.uss_slope_mb_per_10k_steps:+.3f} MB",
                ),
                ("steps/s of one actor under Ray, learner away", memory.model, f"{memory.steps_per_s:,.0f}"),
            ]
        for learner in self.learner:
            what = f"learner alone, {learner.threads} threads, transitions/s"
            rows.append((what, learner.model, f"{learner.learner_transitions_per_s:,.0f}"))
        for train in self.train:
            what = f"whole training, {train.actors} actors, {train.steps:,} steps, steps/s"
            rows += [
                (what, train.model, f"{train.steps_per_s:,.0f}"),
                ("its second half, steps/s", train.model, f"{train.later_steps_per_s:,.0f}"),
            ]
        if self.core_seconds is not None:
            rows.append(("extracting the core", "as given", f"{self.core_seconds:.1f} s"))
        return rows


HOW = """\
How they are taken: uniform random legal actions, at most 3 placements, the whole library, limits drawn from the
ranges of the conditions, both linear programs of the value, a cold start. With all caches off every optimum is solved
for, on the compressed network, and only what a state is without a construct is kept for its episode. The first
system's way is COBRApy's `optimize()` and a sum over `solution.fluxes`, one program a step
(`app/redox_balancer/bench/reference.py`), timed before and after ours in the same process.
"""

PREDICTION = """\
## What more actors would give

steps/s = min(N / (t_env + t_act + t_overhead), learner), with the time of one actor under Ray and the learner's
speed as measured above and a core for each actor. A prediction, not a measurement: it leaves out what N actors take
from each other's caches and memory bandwidth, and what Ray needs for their messages.
"""


def page(figures: Figures, command: str) -> str:
    """The figures as a page in Markdown, with the command that made it."""
    about = figures.about
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    machine = (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, load {about['load_before']} before "
        f"it began; {about['system']}, Python {about['python']}; {packages}."
    )
    parts = [
        "# Benchmarks",
        f"Made by `{command}`. Every figure was measured in that run.",
        machine,
        _table(("what", "model", "measured"), figures.rows()),
        HOW.strip(),
    ]
    predictions = [
        (str(found["actors"]), found["model"], f"{found['steps_per_s']:,.0f}", found["limit"])
        for found in figures.predictions()
    ]
    if predictions:
        parts += [PREDICTION.strip(), _table(("actors", "model", "steps/s", "limit"), predictions)]
    return "\n\n".join(parts) + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---" for _ in headings], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
