"""Measurement of the terms of the throughput model, and of learner and Ray together on replayed rollouts.

Replaying actors are real actors in Ray processes; they use the pool, loop and learner of a training.
"""

import pickle
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil

from redox_balancer.bench import learning, scaling
from redox_balancer.bench.collectors import RECORDED, ReplayCollector, TimedCollector, TimedRollout
from redox_balancer.bench.machine import in_own_process
from redox_balancer.bench.scaling import HostModel, Prediction, SaturationPoint, Terms
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.policy import Float32
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector
from redox_balancer.progress import Progress
from redox_balancer.runs.progress import ProgressSink

if TYPE_CHECKING:
    from redox_balancer.impala.actor_pool import ActorPool

SEED = 0
REPLAY_ACTORS = 2
ACTORS = (30, 60, 120)
"""Numbers of actors on one host with a prediction; the last one is also used for each host of a cluster."""
CLUSTERS = (2, 4)


class ActorTerms(NamedTuple):
    """Times of one actor per environment step, s, and sizes of its rollouts and weights, bytes."""

    env_s: float
    act_s: float
    overhead_s: float
    rollout_bytes: int
    weights_bytes: int


class ReplayTerms(NamedTuple):
    """Replayed rollouts: CPU time per rollout, s, of the raylet or the receiving loop, and the throughput."""

    cpu_s: float
    steps_per_s: float


@dataclass(frozen=True, kw_only=True)
class ThroughputBenchmark:
    """Measured terms on one model, and predictions for a host and for clusters.

    `ray_steps_per_s` is the throughput of Ray with replaying actors and without a learner, `replay_steps_per_s` that
    of learner and Ray in a complete training on replayed rollouts.
    """

    model: str
    terms: Terms
    learner_threads: int
    replay_actors: int
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
    environments: RedoxEnvs, *, actor_s: float, learner_s: float, ray_s: float, steps: int, progress: Progress
) -> ThroughputBenchmark:
    """Measure each term in a separate process for a number of seconds, and a training of a number of steps."""
    config = TrainConfig()
    progress("one actor: environment, policy, overhead")
    one = in_own_process(actor, environments, actor_s)
    progress("learner alone")
    alone = in_own_process(learning.learner, environments, learner_s, config.learner_threads)
    progress(f"Ray alone, {REPLAY_ACTORS} actors replay")
    ray = in_own_process(ray_alone, environments, ray_s)
    progress(f"learner and Ray, {REPLAY_ACTORS} actors replay")
    together = in_own_process(replay, environments, steps)
    return ThroughputBenchmark(
        model=environments.space.network.id,
        terms=Terms(
            **one._asdict(),
            learner_s=1.0 / alone.learner_transitions_per_s,
            loop_s=together.cpu_s,
            raylet_s=ray.cpu_s,
            transitions=config.rollout_length * config.envs_per_actor,
            rollouts_per_batch=config.rollouts_per_batch,
            max_lag=config.max_lag,
        ),
        learner_threads=config.learner_threads,
        replay_actors=REPLAY_ACTORS,
        ray_steps_per_s=ray.steps_per_s,
        replay_steps_per_s=together.steps_per_s,
    )


def actor(environments: EnvFactory, seconds: float) -> ActorTerms:
    """Measure one actor with an untrained policy over the second half of a number of seconds."""
    found: list[TimedRollout] = []
    with _pool(environments, TimedCollector, actors=1) as source:
        started = time.perf_counter()
        while (past := time.perf_counter() - started) < seconds or len(found) < 2:
            rollouts = source.turn(0.01)
            if past > seconds / 2:
                found += [rollout for rollout in rollouts if isinstance(rollout, TimedRollout)]
        weights_bytes = source.parameters.nbytes
    # The time between the ends of two rollouts is the total time of one.
    steps = sum(rollout.transitions for rollout in found[1:])
    env_s = sum(rollout.env_s for rollout in found[1:]) / steps
    act_s = sum(rollout.act_s for rollout in found[1:]) / steps
    return ActorTerms(
        env_s=env_s,
        act_s=act_s,
        overhead_s=(found[-1].ended_at - found[0].ended_at) / steps - env_s - act_s,
        rollout_bytes=len(
            pickle.dumps(Rollout(**{each.name: getattr(found[0], each.name) for each in fields(Rollout)}))
        ),
        weights_bytes=weights_bytes,
    )


def ray_alone(environments: EnvFactory, seconds: float) -> ReplayTerms:
    """Receive and discard replayed rollouts for a number of seconds."""
    with _pool(environments, ReplayCollector, actors=REPLAY_ACTORS) as source:
        replaying: dict[int, int] = {}
        while len(replaying) < REPLAY_ACTORS:
            replaying |= {each.actor: each.transitions for each in source.turn(0.1) if each.sequence >= RECORDED}
        transitions = replaying[0]
        before, raylet_before, started = source.received, _raylet_s(), time.perf_counter()
        while (past := time.perf_counter() - started) < seconds:
            source.turn(0.01)
        received, raylet_s = source.received - before, _raylet_s() - raylet_before
    return ReplayTerms(raylet_s / received, received * transitions / past)


def replay(environments: EnvFactory, steps: int) -> ReplayTerms:
    """Train on replayed rollouts for a number of steps and measure the second half."""
    from redox_balancer.runs.trainer import train  # noqa: PLC0415 - loads torch

    config = TrainConfig(timesteps=steps, num_actors=REPLAY_ACTORS)
    clock = _Clock()
    with tempfile.TemporaryDirectory(prefix="redox-bench-") as folder:
        train(config, environments, Path(folder), resume=None, progress=clock, collector=ReplayCollector)
    first, last = next(tick for tick in clock.ticks if tick.steps >= steps // 2), clock.ticks[-1]
    taken = last.steps - first.steps
    rollouts = taken / (config.rollout_length * config.envs_per_actor)  # with so few actors none is too old
    return ReplayTerms((last.loop_s - first.loop_s) / rollouts, taken / (last.seconds - first.seconds))


class _Tick(NamedTuple):
    """Steps of a training at a time, and the CPU time of its loop by then, s."""

    steps: int
    seconds: float
    loop_s: float


class _Clock(ProgressSink):
    """Records times in the thread of the training loop."""

    def __init__(self) -> None:
        self.ticks: list[_Tick] = []

    def advance(self, steps: int) -> None:
        self.ticks.append(_Tick(steps, time.perf_counter(), time.thread_time()))


class _Source:
    """A training's pool of actors, called as in training, with new weights for each batch and no learner."""

    def __init__(self, pool: "ActorPool", config: TrainConfig) -> None:
        self._pool, self._batch = pool, config.rollouts_per_batch
        self.parameters: Float32 = pool.shape().initial(np.random.default_rng(SEED))
        self.received = 0

    def turn(self, timeout_s: float) -> list[Rollout]:
        """Publish weights, request rollouts and return those that are ready within a timeout."""
        self._pool.publish(self.parameters, self.received // self._batch)
        self._pool.request()
        rollouts = self._pool.receive(timeout_s)
        self.received += len(rollouts)
        return rollouts


@contextmanager
def _pool(environments: EnvFactory, collector: type[RolloutCollector], *, actors: int) -> Iterator[_Source]:
    from redox_balancer.impala.actor_pool import ActorPool  # noqa: PLC0415 - loads Ray
    from redox_balancer.impala.cluster import ray_cluster  # noqa: PLC0415

    config = TrainConfig(num_actors=actors)
    with ray_cluster(config):
        yield _Source(ActorPool(config, environments, dict.fromkeys(range(actors), 0), collector=collector), config)


def _raylet_s() -> float:
    """CPU time of the raylet that this process started, s."""
    times = [child.cpu_times() for child in psutil.Process().children() if child.name() == "raylet"]
    return float(sum(used.user + used.system for used in times))
