"""Throughput model of a training with N actors: the cost of each part, and which part saturates first.

N actors deliver N / (t_env + t_act + t_overhead) steps per second. The parts that consume the rollouts have their own
limits:

- in a cluster, the raylet (Ray's daemon) of the learner's host, per rollout from another host, and the network of the
  learner's host, per byte; rollouts of actors on the learner's host are in shared memory;
- the learner, per transition. Its thread and the loop share one interpreter, so the model assumes that they never
  overlap: 1 / (t_learner + t_loop / transitions of a rollout).

Learner, loop and raylet also take cores from the actors on their host, as many as the throughput needs.

With several cells, each host has as many of them as the others: rollouts stay on their host, each cell has the
learner and the loop of its share of the actors, and what cells exchange are sums of their gradients.

An update uses as many rollouts as are needed to consume all of them (`min_rollouts_per_batch`), as in training.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from redox_balancer.impala.config import min_rollouts_per_batch

BITS = 8
GIGA = 1e9


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Measured costs of the parts of a training."""

    env_s: float  # of an actor per environment step: in the environment,
    act_s: float  # in forward pass and sampling,
    overhead_s: float  # and in everything else: packing, weights
    learner_s: float  # of the learner per transition
    loop_s: float  # CPU time per rollout of the receiving loop, bookkeeping included
    ray_loop_s: float  # the same of a rollout from another host, which comes through Ray,
    raylet_s: float  # and of the raylet for it
    rollout_bytes: int  # serialised
    weights_bytes: int  # a version of them
    transitions: int  # environment steps in a rollout
    rollouts_per_batch: int  # with few actors
    max_lag: int  # largest accepted lag of a rollout behind the learner, in versions of the weights
    actor_bytes: int  # memory (USS) of an actor

    @property
    def step_s(self) -> float:
        """Time of an actor per environment step, s."""
        return self.env_s + self.act_s + self.overhead_s

    def received_s(self, elsewhere: float) -> float:
        """CPU time of the loop per environment step, s, where such a share of the rollouts is from other hosts."""
        return (self.loop_s + elsewhere * (self.ray_loop_s - self.loop_s)) / self.transitions

    def consumer_s(self, elsewhere: float) -> float:
        """CPU time on the learner's host per environment step, s, that no actor takes, likewise."""
        return self.learner_s + self.received_s(elsewhere) + elsewhere * self.raylet_s / self.transitions


@dataclass(frozen=True, kw_only=True)
class HostModel:
    """A host of the cluster; all values are assumptions, none is measured.

    A core is assumed to be as fast as the one on which the terms were measured, and the learner's threads no faster
    than those of the measurement.
    """

    vcpus: int = 192  # r7i.48xlarge: 96 cores of two hyperthreads each
    threads_per_core: int = 2
    pair_yield: float = 1.25  # throughput of both hyperthreads relative to one alone; Intel states up to 1.3
    network_gbit_s: float = 50.0  # in each direction; AWS documents 50 for r7i.48xlarge
    sums_s: float = (
        1e-3  # for an update of several cells; 47,000 floats took two learners 246 µs in each of four passes
    )

    def working(self, actors: int, *, taken: float = 0.0) -> float:
        """Return how many actors with a core of their own do the work of `actors` where `taken` cores are busy."""
        cores = max(self.vcpus / self.threads_per_core - taken, 0.0)
        paired = min(max(actors - cores, 0.0), cores * (self.threads_per_core - 1))
        return min(actors, cores) + paired * (self.pair_yield - 1.0)


class Prediction(NamedTuple):
    """Predicted throughput of a total number of actors distributed over a number of hosts.

    `limit` is the bottleneck, "actors", "ray", "network" or "learner"; `limits` is the throughput with each of them
    as the only limit, steps per second.
    """

    actors: int
    hosts: int
    steps_per_s: float
    limit: str
    limits: Mapping[str, float]
    batch_size: int


class SaturationPoint(NamedTuple):
    """Number of actors that saturate a limit, and its throughput; `actors` is None if the hosts have no room."""

    limit: str
    hosts: int
    steps_per_s: float
    actors: int | None


def predict(terms: Terms, host: HostModel, actors: int, hosts: int = 1, cells: int = 1) -> Prediction:
    """Predict the throughput of a training with actors distributed evenly over the hosts of a cluster.

    Several cells are at least as many as the hosts. A batch is that of all cells together.
    """
    on_each = [actors // hosts + (place < actors % hosts) for place in range(hosts)]
    learning = hosts if cells > 1 else 1  # hosts with a learner
    least = min_rollouts_per_batch(-(-actors // cells), terms.max_lag)
    batch = terms.transitions * max(terms.rollouts_per_batch, least)
    sums_s = host.sums_s / batch if cells > 1 else 0.0
    away = sum(on_each[learning:])
    received_s, consumer_s = terms.received_s(away / actors), terms.consumer_s(away / actors)
    limits = {
        "actors": _balance(
            lambda speed: (
                (
                    sum(host.working(number, taken=speed * consumer_s / learning) for number in on_each[:learning])
                    + sum(map(host.working, on_each[learning:]))
                )
                / terms.step_s
            )
        ),
        "learner": cells / (terms.learner_s + received_s + sums_s),
    }
    if away:
        limits["ray"] = terms.transitions / terms.raylet_s * actors / away
        bytes_per_s = host.network_gbit_s * GIGA / BITS
        incoming = bytes_per_s * terms.transitions / terms.rollout_bytes * actors / away
        # In the worst case every version is sent to every host.
        outgoing = bytes_per_s * batch / terms.weights_bytes / (hosts - 1)
        limits["network"] = min(incoming, outgoing)
    limit = min(limits, key=lambda name: limits[name])
    return Prediction(
        actors=actors, hosts=hosts, steps_per_s=limits[limit], limit=limit, limits=limits, batch_size=cells * batch
    )


def _balance(possible: Callable[[float], float]) -> float:
    """Return the speed at which no more is possible; what is possible falls with the speed."""
    low, high = 0.0, possible(0.0)
    if possible(high) >= high:
        return high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if possible(middle) > middle else (low, middle)
    return low


def full(terms: Terms, host: HostModel, hosts: int = 1) -> list[SaturationPoint]:
    """Return how many actors saturate each consumer of rollouts, were it the only limit."""
    # From one actor per host to one per hyperthread.
    every = [predict(terms, host, actors, hosts) for actors in range(hosts, hosts * host.vcpus + 1)]
    found = []
    for limit in every[-1].limits:
        if limit != "actors":
            filled = (one for one in every if one.limits["actors"] >= one.limits.get(limit, math.inf))
            enough = next(filled, None)
            shown = enough or every[-1]
            found.append(SaturationPoint(limit, hosts, shown.limits[limit], enough.actors if enough else None))
    return found
