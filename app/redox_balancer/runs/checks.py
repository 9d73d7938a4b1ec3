"""Checks of the machine before a run: limits, shared memory, cores and Ray's environment variables.

The amounts that a run needs were measured on real Ray clusters and fitted as a function of the number of actors.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from redox_balancer.impala.config import TrainConfig
from redox_balancer.resources import SHARED_MEMORY, MachineLimits

MEGABYTE = 1e6


class LinearNeed(NamedTuple):
    """Amount needed for a number of actors: `base + per_actor * actors`."""

    base: float
    per_actor: float

    def at(self, actors: int, margin: float = 1.0) -> int:
        """Return the amount for this many actors, with a safety factor, rounded up."""
        return math.ceil(margin * (self.base + self.per_actor * actors))


# Measured with Ray 2.60 by tests/drills/test_limits_drill.py: peaks at 2, 8, 16 and 32 actors.
DESCRIPTORS = {"driver": LinearNeed(36.2, 1.03), "raylet": LinearNeed(51.0, 4.0), "gcs": LinearNeed(56.0, 2.0)}
THREADS = LinearNeed(166.0, 26.0)  # of all processes of a run together
ACTOR_BYTES = 65e6  # an actor's own memory before it has environments
RAY_BYTES = LinearNeed(352e6, 1.2e6)  # Ray's own processes together
MARGIN = 1.5  # for other versions of Ray, and for other files that a run opens


class Level(StrEnum):
    """Outcome of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """Result of one check."""

    name: str  # its subject
    level: Level
    found: str  # in words, with units
    needed: str
    remedy: str = ""  # what helps, a command of the operating system for example; empty where all is well
    settings: tuple[str, ...] = ()  # of the training, that the remedy is about

    def unless(self, fine: bool) -> "Check":  # noqa: FBT001 - reads as a sentence
        """Return this check, or where `fine` one that is OK and needs no remedy."""
        return Check(self.name, Level.OK, self.found, self.needed) if fine else self


def descriptors_needed(num_actors: int) -> int:
    """Return the limit of open descriptors that a run needs: that of its largest process, with a margin."""
    return max(need.at(num_actors, MARGIN) for need in DESCRIPTORS.values())


def machine_checks(config: TrainConfig, limits: MachineLimits) -> Iterator[Check]:
    """Run the checks that need no environment."""
    yield _files(config, limits)
    yield _threads(config, limits)
    if config.num_actors and not config.ray_address:
        yield _shared_memory(config, limits)
        yield _cores(config, limits)
    if config.num_actors:
        yield _variables(limits)


def _files(config: TrainConfig, limits: MachineLimits) -> Check:
    needed = descriptors_needed(config.num_actors)
    return Check(
        "file limit",
        Level.FAIL,
        found=f"{_count(limits.files_hard)} (soft {_count(limits.files_soft)}, raised at the start)",
        needed=f"{needed:,} for {config.num_actors} actors",
        remedy=f"sudo prlimit --nofile={needed}:{needed} --pid $$ "
        f"(in a container: docker run --ulimit nofile={needed})",
    ).unless(limits.files_hard >= needed)


def _threads(config: TrainConfig, limits: MachineLimits) -> Check:
    needed = THREADS.at(config.num_actors, MARGIN)
    limit = limits.threads + needed
    return Check(
        "process limit",
        Level.FAIL,
        found=f"{_count(limits.threads_limit)}, {limits.threads:,} in use",
        needed=f"{needed:,} threads for {config.num_actors} actors",
        remedy=f"sudo prlimit --nproc={limit}:{limit} --pid $$ (in a container: docker run --pids-limit {limit})",
    ).unless(limits.threads_limit - limits.threads >= needed)


def _shared_memory(config: TrainConfig, limits: MachineLimits) -> Check:
    from redox_balancer.impala.cluster import object_store_bytes  # noqa: PLC0415 - loads Ray

    needed = object_store_bytes(config)
    free, size = limits.shared_memory_bytes, -(-needed * 11 // 10)
    return Check(
        "shared memory",
        Level.WARN,
        found="none on this system" if free is None else size_text(free),
        needed=f"{size_text(needed)} for the object store, which is on disk otherwise",
        remedy=f"sudo mount -o remount,size={size} {SHARED_MEMORY} (in a container: docker run --shm-size {size})",
    ).unless(free is None or free >= needed)


def _cores(config: TrainConfig, limits: MachineLimits) -> Check:
    return Check(
        "cores",
        Level.WARN,
        found=f"{limits.cores}",
        needed=f"{config.num_actors} for actors, {config.learner_threads} for the learner now and then",
        remedy=f"use at most {limits.cores} actors and threads of the learner: more share the cores",
        settings=("num_actors", "learner_threads"),
    ).unless(config.num_actors <= limits.cores and config.learner_threads <= limits.cores)


def _variables(limits: MachineLimits) -> Check:
    """Check Ray's environment variables: a value set outside overrides ours."""
    from redox_balancer.impala.cluster import RAY_ENVIRONMENT  # noqa: PLC0415 - loads Ray

    other = {
        name: limits.environment[name]
        for name, value in RAY_ENVIRONMENT.items()
        if limits.environment.get(name, value) != value
    }
    return Check(
        "thread variables",
        Level.WARN,
        found=", ".join(f"{name}={value}" for name, value in other.items()) or "as the run sets them",
        needed=", ".join(f"{name}={RAY_ENVIRONMENT[name]}" for name in other) or "no other value of Ray's settings",
        remedy=f"unset {' '.join(other)}",
    ).unless(not other)


def _count(value: float) -> str:
    return "unlimited" if math.isinf(value) else f"{value:,.0f}"


def size_text(value: float) -> str:
    """Return a size in bytes as text."""
    return f"{value / MEGABYTE:,.0f} MB" if value >= MEGABYTE else f"{value / 1e3:,.0f} kB"
