"""Benchmarks of training: memory of an actor, speed of the learner alone, speed of a complete training."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redox_balancer.bench.machine import redox
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.rollout import RolloutCollector
from redox_balancer.runs.metrics import read_rows

SEED = 0
TRAINING_ACTORS = 2
LONG_RUN = {"passes": 1, "envs_per_actor": 256, "rollout_length": 4, "batch_size": 1024}
"""Settings for millions of steps of a flat network: one pass, as data are cheap, and many environments at once."""


@dataclass(frozen=True, kw_only=True)
class MemoryBenchmark:
    """Unique set size of one actor at the end, and its slope over the second half of the steps by least squares.

    The actor is in its own process under Ray, without a learner; 1 MB is 10^6 bytes.
    """

    model: str
    steps: int
    actor_uss_mb: float
    uss_slope_mb_per_10k_steps: float
    steps_per_s: float


@dataclass(frozen=True, kw_only=True)
class LearnerBenchmark:
    """Speed of the learner alone on recorded rollouts."""

    model: str
    threads: int
    batch_size: int
    passes: int
    learner_transitions_per_s: float


@dataclass(frozen=True, kw_only=True)
class TrainBenchmark:
    """Speed of a complete training, including learner, Ray and checkpoints.

    `steps_per_s` includes the startup of Ray and of the actors, with cold caches; `later_steps_per_s` is the speed
    over the second half of the steps.
    """

    model: str
    actors: int
    steps: int
    steps_per_s: float
    later_steps_per_s: float


def memory(environments: RedoxEnvs, config: TrainConfig, steps: int) -> MemoryBenchmark:
    """Measure the memory of one actor that takes a number of steps with an untrained policy."""
    from redox_balancer.impala.actor_pool import ActorPool  # noqa: PLC0415 - loads Ray
    from redox_balancer.impala.cluster import ray_cluster  # noqa: PLC0415

    config = config.changed(num_actors=1, log_interval_s=0.2)
    samples: list[tuple[int, int]] = []
    with ray_cluster(config):
        pool = ActorPool(config, environments, {0: 0})
        pool.publish(pool.shape().initial(np.random.default_rng(SEED)), 0)
        taken, started = 0, time.perf_counter()
        while taken < steps:
            pool.request()
            taken += sum(rollout.transitions for rollout in pool.receive(0.1))
            samples.extend((taken, stats.uss_bytes) for stats in pool.process_stats().values())
        seconds = time.perf_counter() - started
    later = np.asarray([sample for sample in samples if sample[0] > steps // 2], dtype=np.float64)
    slope = np.polyfit(later[:, 0] / 1e4, later[:, 1] / 1e6, 1)[0]
    return MemoryBenchmark(
        model=environments.space.network.id,
        steps=taken,
        actor_uss_mb=samples[-1][1] / 1e6,
        uss_slope_mb_per_10k_steps=float(slope),
        steps_per_s=taken / seconds,
    )


def learner(environments: RedoxEnvs, config: TrainConfig, seconds: float) -> LearnerBenchmark:
    """Measure the learner on a few recorded rollouts that are repeated for a number of seconds."""
    import torch  # noqa: PLC0415 - takes seconds to load

    from redox_balancer.impala.learner import Learner, LearnerState  # noqa: PLC0415

    config = config.changed(timesteps=1_000_000_000, seed=SEED)
    torch.set_num_threads(config.learner_threads)
    collector = RolloutCollector(environments, **config.collector)
    state = LearnerState.fresh(collector.shape, SEED)
    collector.set_weights(state.parameters, 0)
    batches = [[collector.collect() for _ in range(config.rollouts_per_batch)] for _ in range(8)]
    collector.close()
    trained = Learner(config, collector.shape, state)
    trained.update(batches[0])
    before, started = trained.steps, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for batch in batches:
            trained.update(batch)
    speed = (trained.steps - before) / (time.perf_counter() - started)
    return LearnerBenchmark(
        model=environments.space.network.id,
        threads=config.learner_threads,
        batch_size=sum(rollout.transitions for rollout in batches[0]),
        passes=config.passes,
        learner_transitions_per_s=speed,
    )


def train(model: Path | None, name: str, steps: int, options: Sequence[str]) -> TrainBenchmark:
    """Train in a separate process, as a user does, and read the reported speed."""
    with tempfile.TemporaryDirectory(prefix="redox-bench-") as folder:
        answer = json.loads(
            redox(
                *("train", "--json", "--checkpoint-dir", f"{folder}/run", "--timesteps", steps),
                *("--num-actors", TRAINING_ACTORS, "--log-interval-s", 1, *options),
                *(("--model", model) if model else ()),
            )
        )
        with Path(folder, "run", "metrics.csv").open(newline="") as file:
            rows = read_rows(file)
    last = rows[-1]
    half = next(row for row in rows if row["steps"] >= last["steps"] // 2)
    return TrainBenchmark(
        model=name,
        actors=TRAINING_ACTORS,
        steps=answer["steps"],
        steps_per_s=answer["steps_per_s"],
        later_steps_per_s=(last["steps"] - half["steps"]) / (last["seconds"] - half["seconds"]),
    )
