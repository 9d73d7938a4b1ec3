"""Environment steps per second in one process: as in training, without caches, and as in the first system.

All three take uniform random legal actions with K = 3 under continuously sampled conditions. The first two start cold
and evaluate both linear programs of the value; the reference solves the single program of the first system.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from redox_balancer.bench.collectors import TimedCollector
from redox_balancer.cell.cobrapy import cobra
from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.space import DesignSpace
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.rollout import RolloutCollector

SEED = 0
SLICES = 10  # slices of a comparison, which alternate with those of what it is compared with


Bounds = Mapping[str, tuple[float, float]]


class FirstSystem:
    """COBRApy model of a design space with all placements: a step of the system that this project replaces."""

    def __init__(self, space: DesignSpace) -> None:
        network = space.network
        self.model = cobra.Model(network.id)
        self.model.solver = "glpk"
        metabolites = {name: cobra.Metabolite(name, compartment=name[-1]) for name in network.metabolites}
        reactions = []
        for name, lower, upper in zip(network.reactions, network.lower, network.upper, strict=True):
            reaction = cobra.Reaction(name, lower_bound=float(lower), upper_bound=float(upper))
            reaction.add_metabolites({metabolites[m]: value for m, value in network.stoichiometry_of(name).items()})
            reactions.append(reaction)
        self.model.add_reactions(reactions)
        self.model.objective = network.objective

    def step(self, bounds: Bounds) -> float:
        """Set the bounds that change, solve, and return the total flux of the inserted reactions, mmol/gDW/h."""
        for reaction, (lower, upper) in bounds.items():
            self.model.reactions.get_by_id(reaction).bounds = (lower, upper)
        solution = self.model.optimize()
        return float(sum(flux for reaction, flux in solution.fluxes.items() if reaction.startswith("SINK_")))


@dataclass(frozen=True, kw_only=True)
class StepBenchmark:
    """Speed of stepping on one model."""

    model: str
    reactions: int  # including those of the library
    placements: int
    steps: int
    steps_per_s: float  # from a cold start
    warm_steps_per_s: float  # the last tenth of the steps
    hit_rate: float  # share of optima that needed no solve
    solves: int
    disagreements: int  # hits that a solve contradicted
    uncached_steps_per_s: float  # without caches of outcomes and regions, so that every optimum is solved
    reference_steps_per_s: float  # measured before and after
    ratio: float  # steps_per_s / reference_steps_per_s
    outside_share: float  # of the time of a collector that is spent outside the environment
    named_per_cpu_s: float  # steps of a collector under the named conditions per second of CPU time
    drawn_per_cpu_s: float  # the same under those of the other measurements
    held_ratios_share: float | None = None  # CPU time per step without over that with ratios drawn for each episode


def measure(
    environments: RedoxEnvs, config: TrainConfig, steps: int, seconds: float, with_ratios: RedoxEnvs | None = None
) -> StepBenchmark:
    """Measure everything in this process, with `seconds` for each measurement of a slow variant.

    Collectors have the settings of `config`. `with_ratios` are the same environments with ratios that are drawn for
    each episode.
    """
    space = environments.space
    first = FirstSystem(space)
    walk = reference_walk(environments)
    before = _reference_speed(first, walk, seconds)
    evaluator = Evaluator(space)
    cold, warm = _walk(environments, evaluator, steps * 9 // 10), _walk(environments, evaluator, steps // 10)
    with Evaluator(space, cache_entries=0, region_bytes=0) as bare:
        uncached = _walk(environments, bare, steps, seconds)
    after = _reference_speed(first, walk, seconds)
    reference = 2 / (1 / before + 1 / after)
    speed = (cold[0] + warm[0]) / (cold[1] + warm[1])
    evaluator.close()
    return StepBenchmark(
        model=space.network.id,
        reactions=len(space.network.reactions),
        placements=len(space.placements),
        steps=cold[0] + warm[0],
        steps_per_s=speed,
        warm_steps_per_s=warm[0] / warm[1],
        hit_rate=evaluator.hits / evaluator.lookups,
        solves=evaluator.solves,
        disagreements=evaluator.disagreements,
        uncached_steps_per_s=uncached[0] / uncached[1],
        reference_steps_per_s=reference,
        ratio=speed / reference,
        outside_share=outside_share(environments, config, steps),
        named_per_cpu_s=collected(environments.named, config, steps),
        drawn_per_cpu_s=collected(environments, config, steps),
        held_ratios_share=None if with_ratios is None else compared((environments, with_ratios), steps),
    )


def compared(pair: tuple[RedoxEnvs, RedoxEnvs], steps: int) -> float:
    """CPU time of one over that of another for so many steps from a cold start, in slices that alternate."""
    spent = [0.0, 0.0]
    with ExitStack() as stack:
        bytes_ = [each.region_bytes for each in pair]
        evaluators = [
            stack.enter_context(Evaluator(e.space, region_bytes=b)) for e, b in zip(pair, bytes_, strict=True)
        ]
        walks = [_random_steps(each, evaluator, SEED) for each, evaluator in zip(pair, evaluators, strict=True)]
        for slice_ in range(2 * SLICES):
            started = time.process_time()
            for _ in range(steps // SLICES):
                next(walks[slice_ % 2])
            spent[slice_ % 2] += time.process_time() - started
    return spent[0] / spent[1]


def _walk(
    environments: RedoxEnvs, evaluator: Evaluator, steps: int, seconds: float = float("inf")
) -> tuple[int, float]:
    """Take random steps within limits of number and time; return the number and the time, s."""
    walk = _random_steps(environments, evaluator, SEED + evaluator.lookups)
    taken, started = 0, time.perf_counter()
    while taken < steps and time.perf_counter() - started < seconds:
        next(walk)
        taken += 1
    return taken, time.perf_counter() - started


def _random_steps(environments: RedoxEnvs, evaluator: Evaluator, seed: int) -> Iterator[RedoxEnv]:
    """Yield the environment after each of uniformly random legal steps, without end."""
    environment = RedoxEnv(
        evaluator,
        placements=environments.placements,
        sampling=environments.sampling,
        observation=environments.observation,
    )
    rng = np.random.default_rng(seed)
    _, info = environment.reset(seed=seed)
    while True:
        legal = info["action_mask"].nonzero()[0]
        _, _, terminated, _, info = environment.step(int(legal[int(rng.random() * len(legal))]))
        yield environment
        if terminated:
            _, info = environment.reset()


def reference_walk(environments: RedoxEnvs) -> Iterator[Bounds]:
    """Yield the bounds that each step of an endless random walk changes."""
    space = environments.space
    names = {placement.reaction for placement in space.placements} | {c.reaction for c in space.changes}
    formulation = Formulation(space, compressed=False)
    columns = {name: space.network.column(name) for name in names}
    in_force: dict[str, tuple[float, float]] = {}
    with Evaluator(space) as evaluator:
        for environment in _random_steps(environments, evaluator, SEED):
            cell = formulation.under(environment.condition)
            lower, upper = formulation.bounds(formulation.with_placed(cell, environment.construct))
            wanted = {name: (float(lower[column]), float(upper[column])) for name, column in columns.items()}
            yield {name: pair for name, pair in wanted.items() if in_force.get(name) != pair}
            in_force = wanted


def _reference_speed(first: FirstSystem, walk: Iterator[Bounds], seconds: float) -> float:
    """Steps per second of the reference, without the time of the walk itself."""
    taken, spent = 0, 0.0
    while spent < seconds:
        bounds = next(walk)
        started = time.perf_counter()
        first.step(bounds)
        spent += time.perf_counter() - started
        taken += 1
    return taken / spent


def collected(environments: RedoxEnvs, config: TrainConfig, steps: int) -> float:
    """Steps per second of CPU time of a collector with an untrained policy, from a cold start."""
    collector = RolloutCollector(environments, **config.changed(seed=SEED).collector)
    collector.set_weights(collector.shape.initial(np.random.default_rng(SEED)), 0)
    taken, started = 0, time.process_time()
    while taken < steps:
        taken += collector.collect().transitions
    spent = time.process_time() - started
    collector.close()
    return taken / spent


def outside_share(environments: RedoxEnvs, config: TrainConfig, steps: int) -> float:
    """Measure the share of time that a collector with an untrained policy spends outside the environments."""
    collector = TimedCollector(environments, **config.changed(seed=SEED).collector)
    collector.set_weights(collector.shape.initial(np.random.default_rng(SEED)), 0)
    while collector.times.steps < steps:
        collector.collect()
    collector.close()
    return 1.0 - collector.times.env_s / collector.times.collect_s
