"""Preflight checks: everything that would make a run fail or crawl, checked before it starts.

The amounts that a run needs were measured on real Ray clusters and fitted as a function of the number of actors.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import EnvFactory, policy_shape
from redox_balancer.impala.scale_up import GROWTH, RESERVE
from redox_balancer.resources import SHARED_MEMORY, MachineLimits, machine, process_stats, raise_file_limit
from redox_balancer.runs.reward_signal import RewardSignal, reward_signal

MEGABYTE = 1e6
FILES_BYTES = 200 * MEGABYTE  # metrics, event files and Ray's logs of a long run
CHECKPOINT_REST_BYTES = 100_000  # JSON of a checkpoint besides the fingerprint


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
LEARNER_BYTES = 300e6  # of each process of a learner; one cell learns in the trainer's, which is there already
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


def descriptors_needed(processes: int) -> int:
    """Return the limit of open descriptors that a run of so many actors and cells needs.

    It is that of its largest process, with a margin.
    """
    return max(need.at(processes, MARGIN) for need in DESCRIPTORS.values())


def _cells(config: TrainConfig) -> int:
    """Return the number of learners in processes of their own."""
    return config.learner_cells if config.learner_cells > 1 else 0


def _processes(config: TrainConfig) -> int:
    """Return the number of processes that Ray starts for a run; that of a cell has as many threads as an actor."""
    return config.num_actors + _cells(config)


def _who(config: TrainConfig) -> str:
    return f"{config.num_actors} actors{f' and {cells} cells' if (cells := _cells(config)) else ''}"


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
    needed = descriptors_needed(_processes(config))
    return Check(
        "file limit",
        Level.FAIL,
        found=f"{_count(limits.files_hard)} (soft {_count(limits.files_soft)}, raised at the start)",
        needed=f"{needed:,} for {_who(config)}",
        remedy=f"sudo prlimit --nofile={needed}:{needed} --pid $$ "
        f"(in a container: docker run --ulimit nofile={needed})",
    ).unless(limits.files_hard >= needed)


def _threads(config: TrainConfig, limits: MachineLimits) -> Check:
    needed = THREADS.at(_processes(config), MARGIN)
    limit = limits.threads + needed
    return Check(
        "process limit",
        Level.FAIL,
        found=f"{_count(limits.threads_limit)}, {limits.threads:,} in use",
        needed=f"{needed:,} threads for {_who(config)}",
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
    threads = config.learner_threads * config.learner_cells
    learner = "the learners" if _cells(config) else "the learner now and then"
    return Check(
        "cores",
        Level.WARN,
        found=f"{limits.cores}",
        needed=f"{config.num_actors} for actors, {threads} for {learner}",
        remedy=f"use at most {limits.cores} actors and threads of the learner: more share the cores",
        settings=("num_actors", "learner_threads"),
    ).unless(config.num_actors <= limits.cores and threads <= limits.cores)


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


class Trial(NamedTuple):
    """Properties of a few environments: the policy that fits them, their memory in bytes and their rewards."""

    shape: PolicyShape
    environment_bytes: int
    signal: RewardSignal

    @classmethod
    def of(cls, config: TrainConfig, factory: EnvFactory) -> Self:
        """Create up to four environments, play some episodes and close them again."""
        before = process_stats().uss_bytes
        environments = factory(min(config.envs_per_actor, 4))
        try:
            signal = reward_signal(environments, seed=config.seed)
            grown = max(0, process_stats().uss_bytes - before)
            return cls(policy_shape(environments[0], config.hidden_sizes), grown, signal)
        finally:
            for environment in environments:
                environment.close()


class Preflight(NamedTuple):
    """Findings of the checks that a run uses."""

    returns: tuple[float, ...]  # of the trial episodes
    actors: int  # of those requested, as many as this machine's free memory has room for at the start


def environment_checks(
    config: TrainConfig, factory: EnvFactory, trial: Trial, limits: MachineLimits
) -> Iterator[Check]:
    """Run the checks that depend on the environments: disk, memory and the reward signal."""
    yield _disk(config, factory, trial.shape, limits)
    if config.num_actors and not config.ray_address:
        yield _memory(config, trial.environment_bytes, limits)
    yield reward_check(trial.signal)


def _disk(config: TrainConfig, factory: EnvFactory, shape: PolicyShape, limits: MachineLimits) -> Check:
    # Parameters and the two moments of Adam in float32, and the rest as JSON.
    each = 3 * 4 * shape.size + len(json.dumps(dict(factory.fingerprint))) + CHECKPOINT_REST_BYTES
    milestones = config.timesteps // config.keep_every_steps if config.keep_every_steps else 0
    count = config.keep_checkpoints + milestones + 2  # the best one, and the one that is being written
    needed = FILES_BYTES + count * each
    return Check(
        "disk",
        Level.FAIL,
        found=f"{size_text(limits.disk_bytes)} free",
        needed=f"{size_text(needed)}: {count} checkpoints of {size_text(each)}, logs",
        remedy="free some disk, choose another folder, or keep fewer checkpoints",
        settings=("checkpoint_dir", "keep_checkpoints"),
    ).unless(limits.disk_bytes >= needed)


def _room(config: TrainConfig, environment_bytes: int, limits: MachineLimits) -> int:
    """Return the number of actors that the free memory has room for, by the rule of the scale-up."""
    from redox_balancer.impala.cluster import object_store_bytes  # noqa: PLC0415 - loads Ray

    fixed = object_store_bytes(config) + RAY_BYTES.base + LEARNER_BYTES * _cells(config)
    free = (1 - RESERVE) * limits.memory_bytes - fixed
    return max(0, math.floor(free / (RAY_BYTES.per_actor + GROWTH * (ACTOR_BYTES + environment_bytes))))


def _memory(config: TrainConfig, environment_bytes: int, limits: MachineLimits) -> Check:
    """Check the memory: a run starts with as many actors as fit, and adds others while memory allows."""
    from redox_balancer.impala.cluster import object_store_bytes  # noqa: PLC0415 - loads Ray

    each, room = ACTOR_BYTES + environment_bytes, _room(config, environment_bytes, limits)
    needed = RAY_BYTES.at(_processes(config)) + object_store_bytes(config) + config.num_actors * each
    needed += LEARNER_BYTES * _cells(config)
    return Check(
        "memory",
        Level.WARN if room else Level.FAIL,
        found=f"{size_text(limits.memory_bytes)} free",
        needed=f"{size_text(needed)} for {_who(config)}, {size_text(each)} for an actor at first",
        remedy=f"use {room} actors: more are started only while memory allows"
        if room
        else "use a machine with more memory, or train in one process with 0 actors",
        settings=("num_actors",),
    ).unless(room >= config.num_actors)


def reward_check(signal: RewardSignal) -> Check:
    """Check that the actions of an agent make a difference."""
    returns, count = signal.returns, len(signal.returns)
    if not signal.finite:
        found = f"a return of {next(value for value in returns if not math.isfinite(value))}"
    elif not any(returns):
        found = f"a return of 0 for each of {count} random and greedy constructs"
    else:
        found = f"returns from {min(returns):.4g} to {max(returns):.4g} for {count} random and greedy constructs"
        if not signal.present:
            found += ", none different from another of its condition"
    return Check(
        "reward signal",
        Level.FAIL,
        found=found,
        needed="returns that differ between constructs",
        remedy="check conditions, budget, reward and enzymes: no construct has an effect",
        settings=("conditions", "budget", "reward", "enzymes"),
    ).unless(signal.present)


def solver_check(solver: Callable[[], str]) -> Check:
    """Check the solver by a trial solve; a RedoxError of it is the finding."""
    needed = "the known optimum of a small problem"
    try:
        return Check("solver", Level.OK, solver(), needed)
    except RedoxError as error:
        return Check("solver", Level.FAIL, error.message, needed, error.hint, error.settings)


def all_checks(
    config: TrainConfig, factory: EnvFactory, run_dir: Path, *, solver: Callable[[], str] | None = None
) -> Iterator[Check]:
    """Run all checks one after the other, the fast ones first; the arguments are those of `trainer.train`.

    `solver` solves a small problem and returns its name; this package does not know the environments' own.
    """
    limits = machine(run_dir)
    yield from machine_checks(config, limits)
    if solver is not None:
        yield solver_check(solver)
    yield from environment_checks(config, factory, Trial.of(config, factory), limits)


def preflight(config: TrainConfig, factory: EnvFactory, run_dir: Path, *, warn: Callable[[str], Any]) -> Preflight:
    """Raise the file limit, and refuse a run that would fail; `warn` is called with each warning.

    The first failed check is a RedoxError with its remedy as hint.
    """
    limits = machine(run_dir)
    _settle(machine_checks(config, limits), warn)
    raise_file_limit()
    trial = Trial.of(config, factory)
    _settle(environment_checks(config, factory, trial, limits), warn)
    local = config.num_actors and not config.ray_address
    actors = _room(config, trial.environment_bytes, limits) if local else config.num_actors
    return Preflight(trial.signal.returns, min(actors, config.num_actors))


def _settle(checks: Iterable[Check], warn: Callable[[str], Any]) -> None:
    for check in checks:
        text = f"{check.name}: {check.found}; needed: {check.needed}"
        if check.level is Level.FAIL:
            raise RedoxError(text, hint=check.remedy, settings=check.settings)
        if check.level is Level.WARN:
            warn(f"{text}; {check.remedy}")


def _count(value: float) -> str:
    return "unlimited" if math.isinf(value) else f"{value:,.0f}"


def size_text(value: float) -> str:
    """Return a size in bytes as text."""
    return f"{value / MEGABYTE:,.0f} MB" if value >= MEGABYTE else f"{value / 1e3:,.0f} kB"
