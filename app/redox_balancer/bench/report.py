"""Results of a benchmark as data and as a page of documentation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from redox_balancer.bench.learning import LearnerBenchmark, MemoryBenchmark, TrainBenchmark
from redox_balancer.bench.scaling import HostModel
from redox_balancer.bench.stepping import StepBenchmark
from redox_balancer.bench.throughput import ThroughputBenchmark

Row = tuple[str, ...]

SCALING = ("actors", "hosts", "model", "transitions per batch", "steps/s", "limit")
FULL = ("limit", "hosts", "model", "steps/s", "saturated at")
LIMITS = {"actors": "actors", "ray": "Ray", "network": "network of the learner's host", "learner": "learner and loop"}


@dataclass
class BenchmarkResults:
    """Results of a benchmark, those of each part with one entry per model.

    `about` describes hardware and versions; `core_seconds` is the time to extract the core of the given model.
    """

    about: Mapping[str, Any]
    core_seconds: float | None = None
    step: list[StepBenchmark] = field(default_factory=list)
    memory: list[MemoryBenchmark] = field(default_factory=list)
    learner: list[LearnerBenchmark] = field(default_factory=list)
    train: list[TrainBenchmark] = field(default_factory=list)
    throughput: list[ThroughputBenchmark] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return all values, ready for JSON."""
        answer: dict[str, Any] = {"about": dict(self.about), "core_seconds": self.core_seconds}
        for part in ("step", "memory", "learner", "train"):
            answer[part] = [asdict(each) for each in getattr(self, part)]
        answer["throughput"] = [each.as_dict() for each in self.throughput]
        return {name: found for name, found in answer.items() if found not in (None, [])}

    def scaling_rows(self) -> list[Row]:
        """Return the rows under `SCALING`: predicted throughput of numbers of actors."""
        return [
            (
                f"{found.actors}",
                f"{found.hosts}",
                figures.model,
                f"{found.batch_size:,}",
                f"{found.steps_per_s:,.0f}",
                LIMITS[found.limit],
            )
            for figures in self.throughput
            for found in figures.predictions()
        ]

    def full_rows(self) -> list[Row]:
        """Return the rows under `FULL`: how many actors saturate each limit."""
        return [
            (
                LIMITS[found.limit],
                f"{found.hosts}",
                figures.model,
                f"{found.steps_per_s:,.0f}",
                "does not fit on the hosts" if found.actors is None else f"{found.actors:,} actors",
            )
            for figures in self.throughput
            for found in figures.full()
        ]

    def rows(self) -> list[Row]:
        """Return the rows of a table: quantity, model and measured value."""
        rows: list[Row] = []
        for step in self.step:
            rows += [
                ("environment steps/s in one process", step.model, f"{step.steps_per_s:,.0f}"),
                ("the same with the reference (COBRApy)", step.model, f"{step.reference_steps_per_s:,.1f}"),
                ("ratio", step.model, f"{step.ratio:,.0f}"),
                ("the same with all caches off", step.model, f"{step.uncached_steps_per_s:,.0f}"),
                (f"the last tenth of {step.steps:,} steps, steps/s", step.model, f"{step.warm_steps_per_s:,.0f}"),
                ("optima without a solve", step.model, f"{100 * step.hit_rate:.2f} %"),
                ("lookups that a solve contradicted", step.model, f"{step.disagreements}"),
            ]
            if step.held_ratios_share:
                drawn = "with NAD+/NADH drawn for each episode, share of it"
                rows.append((drawn, step.model, f"{step.held_ratios_share:.2f}"))
            rows += [
                ("collector, named conditions, steps/s of CPU", step.model, f"{step.named_per_cpu_s:,.0f}"),
                ("collector, conditions drawn, steps/s of CPU", step.model, f"{step.drawn_per_cpu_s:,.0f}"),
                ("collector time outside the environment", step.model, f"{100 * step.outside_share:.1f} %"),
            ]
        for memory in self.memory:
            what = f"growth of USS per 10,000 steps, second half of {memory.steps:,}"
            rows += [
                ("unique memory of an actor (USS)", memory.model, f"{memory.actor_uss_mb:.1f} MB"),
                (what, memory.model, f"{memory.uss_slope_mb_per_10k_steps:+.3f} MB"),
                ("steps/s of one actor under Ray, no learner", memory.model, f"{memory.steps_per_s:,.0f}"),
            ]
        for learner in self.learner:
            what = f"learner alone, {learner.passes} passes over {learner.batch_size:,} transitions, transitions/s"
            rows.append((what, learner.model, f"{learner.learner_transitions_per_s:,.0f}"))
            per_pass = 1e6 / (learner.learner_transitions_per_s * learner.passes)
            rows.append(("the same, a transition and pass", learner.model, f"{per_pass:.1f} µs"))
        for train in self.train:
            what = f"complete training, {train.actors} actors, {train.steps:,} steps, steps/s"
            rows += [
                (what, train.model, f"{train.steps_per_s:,.0f}"),
                ("second half, steps/s", train.model, f"{train.later_steps_per_s:,.0f}"),
            ]
        for found in self.throughput:
            rows += _throughput_rows(found)
        if self.core_seconds is not None:
            rows.append(("extracting the core", "as given", f"{self.core_seconds:.1f} s"))
        return rows


def _throughput_rows(found: ThroughputBenchmark) -> list[Row]:
    terms, threads = found.terms, f"{found.learner_threads} thread{'s' if found.learner_threads > 1 else ''}"
    replayed = f"{found.replay_actors} replaying actors"
    return [
        (what, found.model, figure)
        for what, figure in (
            ("t_env per step in one actor: environment", f"{1e6 * terms.env_s:.1f} µs"),
            ("t_act: forward pass and sampling", f"{1e6 * terms.act_s:.1f} µs"),
            ("t_overhead: packing, weights", f"{1e6 * terms.overhead_s:.1f} µs"),
            (f"learner alone, {threads}, per transition", f"{1e6 * terms.learner_s:.1f} µs"),
            ("receiving loop, CPU time per rollout", f"{1e6 * terms.loop_s:,.0f} µs"),
            ("the same of a rollout from another host", f"{1e6 * terms.ray_loop_s:,.0f} µs"),
            ("raylet, CPU time per rollout from another host", f"{1e6 * terms.raylet_s:,.0f} µs"),
            (f"a rollout of {terms.transitions} steps", f"{terms.rollout_bytes:,} bytes"),
            ("a version of the weights", f"{terms.weights_bytes:,} bytes"),
            ("memory of an actor (USS)", f"{terms.actor_bytes / 1e6:.0f} MB"),
            (f"shared memory alone, {replayed}, steps/s", f"{found.shared_steps_per_s:,.0f}"),
            (f"Ray alone, {replayed}, steps/s", f"{found.ray_steps_per_s:,.0f}"),
            (f"learner and shared memory, {replayed}, steps/s", f"{found.replay_steps_per_s:,.0f}"),
            ("the same by the model below, one core each", f"{found.model_replay_steps_per_s:,.0f}"),
        )
    ]


HOW = """\
Protocol: uniform random legal actions, at most 3 placements, the whole library, limits drawn from the ranges of the
conditions, both linear programs of the value, a cold start. Collectors play all environments of an actor with an
untrained policy, which is nearly uniform. With all caches off every optimum is solved, on the
compressed network, and only the values of the cell without a construct are kept for an episode. The reference is the
method of the first system, the predecessor of this project: COBRApy's `optimize()` and a sum over `solution.fluxes`,
one program per step (`app/redox_balancer/bench/stepping.py`), timed before and after in the same process.
"""

_HOST = HostModel()
PREDICTION = f"""\
## Predicted throughput of more actors

A prediction from the terms above, not a measurement. steps/s is the minimum of the throughput of the actors,
N / (t_env + t_act + t_overhead), and of the limits of Ray, the network and the learner
(`app/redox_balancer/bench/scaling.py`). Learner and loop share one interpreter and are assumed never to overlap. An
update uses `batch_size` transitions, or more with many actors, so that their rollouts stay younger than `max_lag`.

Assumed, not measured:

- hosts of {_HOST.vcpus} vCPU (r7i.48xlarge), {_HOST.threads_per_core} hyperthreads a core;
- each core is as fast as the one measured here; actors do not compete for caches and memory bandwidth;
- the two hyperthreads of a core do {_HOST.pair_yield} times the work of one alone;
- learner, loop and raylet take as many cores of their host as the throughput needs;
- more threads or larger batches do not make the learner faster;
- an actor does not wait between its rollouts;
- {_HOST.network_gbit_s:g} Gbit/s of network in each direction; every version of the weights is sent to every host.
"""


def page(figures: BenchmarkResults, command: str) -> str:
    """Format the results as a Markdown page, with the command that produced them."""
    about = figures.about
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    machine = (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, load {about['load_before']} before "
        f"the start; {about['system']}, Python {about['python']}; {packages}."
    )
    parts = [
        "# Benchmarks",
        f"Made by `{command}`. All values were measured in that run.",
        machine,
        _table(("what", "model", "measured"), figures.rows()),
        HOW.strip(),
    ]
    if figures.throughput:
        parts += [PREDICTION.strip(), _table(SCALING, figures.scaling_rows())]
        parts += ["Each limit alone:", _table(FULL, figures.full_rows())]
    return "\n\n".join(parts) + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---" for _ in headings], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
