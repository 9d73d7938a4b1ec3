"""How fast a training is with N actors: a model of what each part takes, and of which of them is full first.

N actors deliver N / (t_env + t_act + t_overhead) steps per second. What takes them up has a speed of its own:

- the loop that receives them, and the one raylet (Ray's daemon) of the learner's machine, by the rollout;
- in a cluster, the network of the learner's machine, by the byte;
- the learner, by the transition. Its thread and the loop share one interpreter, so the two are taken as if one always
  waited for the other: 1 / (t_learner + t_loop / transitions of a rollout).

An update takes as many rollouts as it needs to use all of them (`min_rollouts_per_batch`), and so do these figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from redox_balancer.impala.config import min_rollouts_per_batch

BITS = 8
GIGA = 1e9


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the parts of a training take, measured.

    Attributes
    ----------
    env_s, act_s, overhead_s
        Seconds of an actor per environment step: in the environment; in forward pass and sampling; in all the rest
        (packing, Ray's put, weights).
    learner_s
        Seconds of the learner per transition.
    loop_s, raylet_s
        Seconds of a core per rollout, in the loop that receives (bookkeeping included) and in its machine's raylet.
    rollout_bytes, weights_bytes
        What a rollout and a version of the weights take when they travel.
    transitions
        Environment steps in a rollout.
    rollouts_per_batch
        Rollouts of an update with few actors.
    max_lag
        Versions after which a rollout is too old to learn from.
    """

    env_s: float
    act_s: float
    overhead_s: float
    learner_s: float
    loop_s: float
    raylet_s: float
    rollout_bytes: int
    weights_bytes: int
    transitions: int
    rollouts_per_batch: int
    max_lag: int

    @property
    def step_s(self) -> float:
        """Seconds of an actor per environment step."""
        return self.env_s + self.act_s + self.overhead_s


@dataclass(frozen=True, kw_only=True)
class HostModel:
    """A machine of the cluster; everything here is assumed, nothing is measured.

    Attributes
    ----------
    vcpus, threads_per_core
        r7i.48xlarge: 192 vCPU, which are 96 cores of two hyperthreads each. A core is taken to be as fast as the one
        that the terms were measured on.
    pair_yield
        What the two hyperthreads of a core do together, over what one does alone; Intel speaks of up to 1.3.
    reserved_cores
        Cores of the learner's machine that no actor gets: 8 for the learner's threads (taken to be no faster than
        the threads it was measured with), one for the loop and one for Ray's daemons.
    network_gbit_s
        Each way; AWS documents 50 for r7i.48xlarge.
    """

    vcpus: int = 192
    threads_per_core: int = 2
    pair_yield: float = 1.25
    reserved_cores: int = 10
    network_gbit_s: float = 50.0

    def working(self, actors: int, *, learner: bool) -> float:
        """How many actors with a core to themselves do as much as so many on this machine."""
        cores = self.vcpus // self.threads_per_core - (self.reserved_cores if learner else 0)
        if self.threads_per_core == 1:
            return float(min(actors, cores))
        paired = min(max(actors - cores, 0), cores)
        return min(actors, cores) + paired * (self.pair_yield - 1.0)


class Prediction(NamedTuple):
    """What so many actors give on so many machines.

    Attributes
    ----------
    actors, hosts
        All actors, and the machines that they are spread over.
    steps_per_s
        Environment steps per second.
    limit
        What holds them back: "actors", "ray", "network" or "learner".
    limits
        What each of those would let through, were it the only one, steps per second.
    batch_size
        Transitions of a batch.
    """

    actors: int
    hosts: int
    steps_per_s: float
    limit: str
    limits: Mapping[str, float]
    batch_size: int


class SaturationPoint(NamedTuple):
    """How many actors one limit takes, and what it lets through; None where the machines have room for fewer."""

    limit: str
    hosts: int
    steps_per_s: float
    actors: int | None


class LimitChange(NamedTuple):
    """From so many actors on, this is the limit."""

    limit: str
    hosts: int
    actors: int


def predict(terms: Terms, host: HostModel, actors: int, hosts: int = 1) -> Prediction:
    """Predict the speed of a training whose actors are spread evenly over the machines of a cluster."""
    on_each = [actors // hosts + (place < actors % hosts) for place in range(hosts)]
    working = sum(host.working(count, learner=place == 0) for place, count in enumerate(on_each))
    batch = terms.transitions * max(terms.rollouts_per_batch, min_rollouts_per_batch(actors, terms.max_lag))
    limits = {
        "actors": working / terms.step_s,
        "ray": terms.transitions / max(terms.loop_s, terms.raylet_s),
        "learner": 1.0 / (terms.learner_s + terms.loop_s / terms.transitions),
    }
    if away := actors - on_each[0]:
        bytes_per_s = host.network_gbit_s * GIGA / BITS
        incoming = bytes_per_s * terms.transitions / terms.rollout_bytes * actors / away
        # At worst every version goes to every machine.
        outgoing = bytes_per_s * batch / terms.weights_bytes / (hosts - 1)
        limits["network"] = min(incoming, outgoing)
    limit = min(limits, key=lambda name: limits[name])
    return Prediction(
        actors=actors,
        hosts=hosts,
        steps_per_s=limits[limit],
        limit=limit,
        limits=limits,
        batch_size=batch,
    )


def changes(terms: Terms, host: HostModel, hosts: int = 1) -> list[LimitChange]:
    """Return what the limit is and where it becomes another as actors are added, to one for each hyperthread."""
    found: list[LimitChange] = []
    for one in _every(terms, host, hosts):
        if not found or found[-1].limit != one.limit:
            found.append(LimitChange(one.limit, hosts, one.actors))
    return found


def full(terms: Terms, host: HostModel, hosts: int = 1) -> list[SaturationPoint]:
    """Return how many actors fill each of the parts that take up what they deliver, were it the only limit."""
    every = _every(terms, host, hosts)
    found = []
    for limit in every[-1].limits:
        if limit != "actors":
            enough = next((one for one in every if limit in one.limits and _fills(one, limit)), None)
            shown = enough or every[-1]
            found.append(SaturationPoint(limit, hosts, shown.limits[limit], enough.actors if enough else None))
    return found


def _every(terms: Terms, host: HostModel, hosts: int) -> list[Prediction]:
    """Predictions for each number of actors that the machines have hyperthreads for."""
    return [predict(terms, host, actors, hosts) for actors in range(hosts, hosts * host.vcpus + 1)]


def _fills(found: Prediction, limit: str) -> bool:
    return found.limits["actors"] >= found.limits[limit]
