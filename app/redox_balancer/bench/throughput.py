"""Measurement of the terms of the throughput model, and of learner and Ray together on replayed rollouts.

Replaying actors are real actors in Ray processes; they use the pool, loop and learner of a training.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil

from redox_balancer.bench import learning, scaling
from redox_balancer.bench.collectors import RECORDED, CollectorTimes, ReplayCollector, TimedCollector
from redox_balancer.bench.machine import in_own_process
from redox_balancer.bench.scaling import HostModel, Prediction, SaturationPoint, Terms
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.packing import Packing
from redox_balancer.impala.policy import Float32
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector
from redox_balancer.progress import Progress
from redox_balancer.runs.progress import ProgressSink

if TYPE_CHECKING:
    from redox_balancer.impala.actor_pool import ActorPool
    from redox_balancer.impala.links import Transport

SEED = 0
REPLAY_ACTORS = 2
ACTORS = (30, 60, 120)
"""Numbers of actors on one host with a prediction; the last one is also used for each host of a cluster."""
CLUSTERS = (2, 4)


class ActorTerms(NamedTuple):
    """Times of one actor per environment step, s, sizes of its rollouts and weights, and its memory, bytes."""

    env_s: float
    act_s: float
    overhead_s: float
    rollout_bytes: int
    weights_bytes: int
    actor_bytes: int


class ReplayTerms(NamedTuple):
    """Replayed rollouts: CPU time per rollout, s, of the receiving loop and of the raylet, and the throughput."""

    loop_s: float
    raylet_s: float
    steps_per_s: float


@dataclass(frozen=True, kw_only=True)
class ThroughputBenchmark:
    """Measured terms on one model, and predictions for a host and for clusters.

    `shared_steps_per_s` and `ray_steps_per_s` are the throughput of replaying actors without a learner, through
    shared memory and through Ray, `replay_steps_per_s` that of a complete training on replayed rollouts.
    """

    model: str
    terms: Terms
    learner_threads: int
    replay_actors: int
    shared_steps_per_s: float
    ray_steps_per_s: float
    replay_steps_per_s: float

    @property
    def model_replay_steps_per_s(self) -> float:
        """Prediction of `replay_steps_per_s` for a machine with a core for each process and thread."""
        terms = self.terms
        return 1.0 / (terms.learner_s + terms.loop_s / terms.transitions)

    def predictions(self) -> list[Prediction]:
        """Return the predicted throughput of each number of actors."""
        places = [(actors, 1) for actors in ACTORS] + [(ACTORS[-1] * hosts, hosts) for hosts in CLUSTERS]
        return [scaling.predict(self.terms, HostModel(), actors, hosts) for actors, hosts in places]

    def full(self) -> list[SaturationPoint]:
        """Return how many actors saturate each limit, on one host and on clusters."""
        return [found for hosts in (1, *CLUSTERS) for found in scaling.full(self.terms, HostModel(), hosts)]

    def as_dict(self) -> dict[str, Any]:
        """Return all values, ready for JSON."""
        return {
            **asdict(self),
            "step_s": self.terms.step_s,
            "model_replay_steps_per_s": self.model_replay_steps_per_s,
            "assumed": asdict(HostModel()),
            "predictions": [found._asdict() for found in self.predictions()],
            "full": [found._asdict() for found in self.full()],
        }


def measure(
    environments: RedoxEnvs,
    config: TrainConfig,
    *,
    actor_s: float,
    learner_s: float,
    ray_s: float,
    steps: int,
    progress: Progress,
) -> ThroughputBenchmark:
    """Measure each term in a separate process for a number of seconds, and a training of a number of steps."""
    from redox_balancer.impala.links import RayTransport, Transport  # noqa: PLC0415 - loads Ray

    progress("one actor: environment, policy, overhead")
    one = in_own_process(actor, environments, config, actor_s)
    progress("learner alone")
    alone = in_own_process(learning.learner, environments, config, learner_s)
    progress(f"shared memory alone, then Ray, {REPLAY_ACTORS} actors replay")
    shared, ray = (in_own_process(transport, environments, config, ray_s, ways) for ways in (Transport, RayTransport))
    progress(f"learner and shared memory, {REPLAY_ACTORS} actors replay")
    together = in_own_process(replay, environments, config, steps)
    return ThroughputBenchmark(
        model=environments.space.network.id,
        terms=Terms(
            **one._asdict(),
            learner_s=1.0 / alone.learner_transitions_per_s,
            loop_s=together.loop_s,
            ray_loop_s=ray.loop_s,
            raylet_s=ray.raylet_s,
            transitions=config.rollout_length * config.envs_per_actor,
            rollouts_per_batch=config.rollouts_per_batch,
            max_lag=config.max_lag,
        ),
        learner_threads=config.learner_threads,
        replay_actors=REPLAY_ACTORS,
        shared_steps_per_s=shared.steps_per_s,
        ray_steps_per_s=ray.steps_per_s,
        replay_steps_per_s=together.steps_per_s,
    )


def actor(environments: EnvFactory, config: TrainConfig, seconds: float) -> ActorTerms:
    """Measure one actor with an untrained policy over the second half of a number of seconds."""
    found: list[CollectorTimes] = []
    with _pool(environments, config.changed(num_actors=1), TimedCollector) as source:
        started = time.perf_counter()
        while (past := time.perf_counter() - started) < seconds or len(found) < 2:
            for rollout in source.turn(0.01):
                if past > seconds / 2 and rollout.episodes.returns.size:
                    found.append(CollectorTimes.of(rollout))
        packing = Packing(source.shape, length=source.config.rollout_length, count=source.config.envs_per_actor)
        packed = packing.pack(rollout, np.empty(packing.block_bytes, np.uint8))
        weights_bytes, actor_bytes = source.parameters.nbytes, source.actor_bytes
    first, last = found[0], found[-1]
    steps = last.steps - first.steps
    env_s, act_s = (last.env_s - first.env_s) / steps, (last.act_s - first.act_s) / steps
    return ActorTerms(
        env_s=env_s,
        act_s=act_s,
        overhead_s=(last.ended_at - first.ended_at) / steps - env_s - act_s,
        rollout_bytes=packed.nbytes,
        weights_bytes=weights_bytes,
        actor_bytes=actor_bytes,
    )


def transport(environments: EnvFactory, config: TrainConfig, seconds: float, ways: "type[Transport]") -> ReplayTerms:
    """Receive and discard replayed rollouts for a number of seconds."""
    config = config.changed(num_actors=REPLAY_ACTORS)
    with _pool(environments, config, ReplayCollector, transport=ways) as source:
        replaying: dict[int, int] = {}
        while len(replaying) < REPLAY_ACTORS:
            replaying |= {each.actor: each.transitions for each in source.turn(0.1) if each.sequence >= RECORDED}
        transitions = replaying[0]
        before, loop_before, raylet_before = source.received, time.thread_time(), _raylet_s()
        started = time.perf_counter()
        while (past := time.perf_counter() - started) < seconds:
            source.turn(0.01)
        received, loop_s, raylet_s = source.received - before, time.thread_time() - loop_before, _raylet_s()
    return ReplayTerms(loop_s / received, (raylet_s - raylet_before) / received, received * transitions / past)


def replay(environments: EnvFactory, config: TrainConfig, steps: int) -> ReplayTerms:
    """Train on replayed rollouts for a number of steps and measure the second half."""
    from redox_balancer.runs.trainer import train  # noqa: PLC0415 - loads torch

    config = config.changed(timesteps=steps, num_actors=REPLAY_ACTORS)
    clock = _Clock(steps // 10)
    with tempfile.TemporaryDirectory(prefix="redox-bench-") as folder:
        train(config, environments, Path(folder), resume=None, progress=clock, collector=ReplayCollector)
    first, last = next(tick for tick in clock.ticks if tick.steps >= steps // 2), clock.ticks[-1]
    taken = last.steps - first.steps
    rollouts = taken / (config.rollout_length * config.envs_per_actor)  # with so few actors none is too old
    loop_s, raylet_s = (last.loop_s - first.loop_s) / rollouts, (last.raylet_s - first.raylet_s) / rollouts
    return ReplayTerms(loop_s, raylet_s, taken / (last.seconds - first.seconds))


class _Tick(NamedTuple):
    """Steps of a training at a time, and the CPU time of its loop and of its raylet by then, s."""

    steps: int
    seconds: float
    loop_s: float
    raylet_s: float


class _Clock(ProgressSink):
    """Records times in the thread of the training loop, about every so many steps: to read them costs time too."""

    def __init__(self, every: int) -> None:
        self.ticks: list[_Tick] = []
        self._every = every

    def advance(self, steps: int) -> None:
        if not self.ticks or steps - self.ticks[-1].steps >= self._every:
            self.ticks.append(_Tick(steps, time.perf_counter(), time.thread_time(), _raylet_s()))


class _Source:
    """A training's pool of actors, called as in training, with new weights for each batch and no learner."""

    def __init__(self, pool: "ActorPool", config: TrainConfig) -> None:
        self._pool, self.config, self.shape = pool, config, pool.shape()
        self.parameters: Float32 = self.shape.initial(np.random.default_rng(SEED))
        self.received = 0

    @property
    def actor_bytes(self) -> int:
        """Memory of the largest actor, at most a log interval old."""
        return max(stats.uss_bytes for stats in self._pool.process_stats().values())

    def turn(self, timeout_s: float) -> list[Rollout]:
        """Publish weights, request rollouts and return those that are ready within a timeout."""
        self._pool.publish(self.parameters, self.received // self.config.rollouts_per_batch)
        self._pool.request()
        rollouts = self._pool.receive(timeout_s)
        self.received += len(rollouts)
        return rollouts


@contextmanager
def _pool(
    environments: EnvFactory, config: TrainConfig, collector: type[RolloutCollector], **options: Any
) -> Iterator[_Source]:
    from redox_balancer.impala.actor_pool import ActorPool  # noqa: PLC0415 - loads Ray
    from redox_balancer.impala.cluster import ray_cluster  # noqa: PLC0415

    incarnations = dict.fromkeys(range(config.num_actors), 0)
    with ray_cluster(config):
        yield _Source(ActorPool(config, environments, incarnations, collector=collector, **options), config)


def _raylet_s() -> float:
    """CPU time of the raylet that this process started, s."""
    times = [child.cpu_times() for child in psutil.Process().children() if child.name() == "raylet"]
    return float(sum(used.user + used.system for used in times))
