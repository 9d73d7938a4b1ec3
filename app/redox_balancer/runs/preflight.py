"""Preflight checks: what would make a run fail or crawl, found before it starts.

Each check is data: what was found, what is needed, and the command that helps. `preflight` begins every run with
them; `redox doctor` prints them all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import EnvFactory, policy_shape
from redox_balancer.impala.scale_up import INITIAL_ACTORS
from redox_balancer.resources import SHARED_MEMORY, MachineLimits, machine, process_stats, raise_file_limit
from redox_balancer.runs.reward_signal import RewardSignal, reward_signal

MEGABYTE = 1e6


class Line(NamedTuple):
    """What something takes by the number of actors: `base + per_actor * actors`."""

    base: float
    per_actor: float

    def at(self, actors: int, margin: float = 1.0) -> int:
        """Return the amount for so many actors, with a factor of safety, rounded up."""
        return math.ceil(margin * (self.base + self.per_actor * actors))


# Measured, Ray 2.60, tests/drills/test_limits_drill.py: peaks at 2, 8, 16 and 32 actors.
DESCRIPTORS = {"driver": Line(36.2, 1.03), "raylet": Line(51.0, 4.0), "gcs": Line(56.0, 2.0)}
THREADS = Line(166.0, 26.0)  # of all processes of a run together
ACTOR_BYTES = 65e6  # an actor's own memory before it has environments
RAY_BYTES = Line(352e6, 1.2e6)  # Ray's own processes together
MARGIN = 1.5  # for other versions of Ray, and for what a run opens besides

FILES_BYTES = 200 * MEGABYTE  # metrics, event files and Ray's logs of a long run
CHECKPOINT_REST_BYTES = 100_000  # of a checkpoint's JSON, besides the fingerprint


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name
        What was looked at.
    level
        How bad it is.
    found, needed
        In words, with units.
    remedy
        The command or option that helps; empty where all is well.
    """

    name: str
    level: Level
    found: str
    needed: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Ready for JSON."""
        return {**asdict(self), "level": self.level.value}


def descriptors_needed(num_actors: int) -> int:
    """Return the limit of open descriptors that a run needs: that of its hungriest process, with a margin."""
    return max(line.at(num_actors, MARGIN) for line in DESCRIPTORS.values())


def machine_checks(config: TrainConfig, found: MachineLimits) -> Iterator[Check]:
    """Check what needs no environment."""
    yield _files(config, found)
    yield _threads(config, found)
    if config.num_actors and not config.ray_address:
        yield _shared_memory(config, found)
        yield _cores(config, found)
    if config.num_actors:
        yield _variables(found)


def _graded(*, fine: bool, otherwise: Level, name: str, found: str, needed: str, remedy: str) -> Check:
    return Check(name, Level.OK if fine else otherwise, found, needed, "" if fine else remedy)


def _files(config: TrainConfig, found: MachineLimits) -> Check:
    needed = descriptors_needed(config.num_actors)
    return _graded(
        fine=found.files_hard >= needed,
        otherwise=Level.FAIL,
        name="file limit",
        found=f"{_count(found.files_hard)} (soft {_count(found.files_soft)}, raised at the start)",
        needed=f"{needed:,} for {config.num_actors} actors",
        remedy=f"sudo prlimit --nofile={needed}:{needed} --pid $$ "
        f"(in a container: docker run --ulimit nofile={needed})",
    )


def _threads(config: TrainConfig, found: MachineLimits) -> Check:
    needed = THREADS.at(config.num_actors, MARGIN) if config.num_actors else math.ceil(MARGIN * THREADS.base)
    limit = found.threads + needed
    return _graded(
        fine=found.threads_limit - found.threads >= needed,
        otherwise=Level.FAIL,
        name="process limit",
        found=f"{_count(found.threads_limit)}, {found.threads:,} in use",
        needed=f"{needed:,} threads for {config.num_actors} actors",
        remedy=f"sudo prlimit --nproc={limit}:{limit} --pid $$ (in a container: docker run --pids-limit {limit})",
    )


def _shared_memory(config: TrainConfig, found: MachineLimits) -> Check:
    from redox_balancer.impala.cluster import object_store_bytes  # noqa: PLC0415 - loads Ray

    needed = object_store_bytes(config)
    free, size = found.shared_memory_bytes, -(-needed * 11 // 10)
    return _graded(
        fine=free is None or free >= needed,
        otherwise=Level.WARN,
        name="shared memory",
        found="none on this system" if free is None else _size(free),
        needed=f"{_size(needed)} for the object store, which else lies on disk",
        remedy=f"sudo mount -o remount,size={size} {SHARED_MEMORY} (in a container: docker run --shm-size {size})",
    )


def _cores(config: TrainConfig, found: MachineLimits) -> Check:
    return _graded(
        fine=config.num_actors <= found.cores and config.learner_threads <= found.cores,
        otherwise=Level.WARN,
        name="cores",
        found=f"{found.cores}",
        needed=f"{config.num_actors} for actors, {config.learner_threads} for the learner now and then",
        remedy=f"at most {found.cores} for --num-actors and --learner-threads: more only take turns",
    )


def _variables(found: MachineLimits) -> Check:
    """Ray's own settings: a value from outside wins over ours."""
    from redox_balancer.impala.cluster import RAY_ENVIRONMENT  # noqa: PLC0415 - loads Ray

    other = {
        name: found.environment[name]
        for name, value in RAY_ENVIRONMENT.items()
        if found.environment.get(name, value) != value
    }
    return _graded(
        fine=not other,
        otherwise=Level.WARN,
        name="thread variables",
        found=", ".join(f"{name}={value}" for name, value in other.items()) or "as the run sets them",
        needed=", ".join(f"{name}={RAY_ENVIRONMENT[name]}" for name in other) or "no other value of Ray's settings",
        remedy=f"unset {' '.join(other)}",
    )


def environment_checks(
    config: TrainConfig, factory: EnvFactory, trial: Trial, found: MachineLimits
) -> Iterator[Check]:
    """Check what depends on the environments: disk, memory and the reward signal."""
    yield _disk(config, factory, trial.shape, found)
    if config.num_actors and not config.ray_address:
        yield _memory(config, trial.environment_bytes, found)
    yield reward_check(trial.signal)


class Trial(NamedTuple):
    """What a few environments are like: the policy that fits them, their memory in bytes and their rewards."""

    shape: PolicyShape
    environment_bytes: int
    signal: RewardSignal

    @classmethod
    def of(cls, config: TrainConfig, factory: EnvFactory) -> Trial:
        """Make four environments at most, play some episodes and free them again."""
        before = process_stats().uss_bytes
        environments = factory(min(config.envs_per_actor, 4))
        try:
            signal = reward_signal(environments, seed=config.seed)
            grown = max(0, process_stats().uss_bytes - before)
            return cls(policy_shape(environments[0], config.hidden_sizes), grown, signal)
        finally:
            for environment in environments:
                environment.close()


def _disk(config: TrainConfig, factory: EnvFactory, shape: PolicyShape, found: MachineLimits) -> Check:
    # Parameters and the two moments of Adam in float32, and the rest as JSON.
    each = 3 * 4 * shape.size + len(json.dumps(dict(factory.fingerprint))) + CHECKPOINT_REST_BYTES
    milestones = config.timesteps // config.keep_every_steps if config.keep_every_steps else 0
    count = config.keep_checkpoints + milestones + 2  # the best one, and the one that is being written
    needed = FILES_BYTES + count * each
    return _graded(
        fine=found.disk_bytes >= needed,
        otherwise=Level.FAIL,
        name="disk",
        found=f"{_size(found.disk_bytes)} free",
        needed=f"{_size(needed)}: {count} checkpoints of {_size(each)}, logs",
        remedy="free some disk, or choose another --checkpoint-dir, or fewer --keep-checkpoints",
    )


def _memory(config: TrainConfig, environment_bytes: int, found: MachineLimits) -> Check:
    from redox_balancer.impala.cluster import object_store_bytes  # noqa: PLC0415 - loads Ray

    each = ACTOR_BYTES + environment_bytes
    store = object_store_bytes(config)

    def needed(actors: int) -> float:
        return RAY_BYTES.at(actors) + store + actors * each

    room = math.floor((found.memory_bytes - store - RAY_BYTES.base) / (RAY_BYTES.per_actor + each))
    enough_to_begin = found.memory_bytes >= needed(min(config.num_actors, INITIAL_ACTORS))
    return _graded(
        fine=found.memory_bytes >= needed(config.num_actors),
        otherwise=Level.WARN if enough_to_begin else Level.FAIL,
        name="memory",
        found=f"{_size(found.memory_bytes)} free",
        needed=f"{_size(needed(config.num_actors))} for {config.num_actors} actors of {_size(each)} at first",
        remedy=f"--num-actors {room}" if room > 0 else "a machine with more memory, or --num-actors 0",
    )


def reward_check(signal: RewardSignal) -> Check:
    """Check that what an agent does makes a difference."""
    returns, count = signal.returns, len(signal.returns)
    if not signal.finite:
        found = f"a return of {next(value for value in returns if not math.isfinite(value))}"
    elif not any(returns):
        found = f"a return of 0 for each of {count} random and greedy constructs"
    else:
        found = f"returns from {min(returns):.4g} to {max(returns):.4g} for {count} random and greedy constructs"
        if not signal.present:
            found += ", none different from another of its condition"
    return _graded(
        fine=signal.present,
        otherwise=Level.FAIL,
        name="reward signal",
        found=found,
        needed="returns that differ between constructs",
        remedy="check --conditions, --budget, --reward and the enzymes: nothing that can be built has an effect",
    )


def solver_check(solver: Callable[[], str]) -> Check:
    """Check the solver by what it says of itself; a RedoxError of it is the finding."""
    needed = "the known optimum of a small problem"
    try:
        return Check("solver", Level.OK, solver(), needed)
    except RedoxError as error:
        return Check("solver", Level.FAIL, error.message, needed, error.hint)


def all_checks(
    config: TrainConfig, factory: EnvFactory, run_dir: Path, *, solver: Callable[[], str] | None = None
) -> Iterator[Check]:
    """All checks of a run, one after the other, the quick ones first.

    Parameters
    ----------
    config, factory, run_dir
        As for `trainer.train`.
    solver
        Solves something small and says who it is; what an environment computes with is not known here.
    """
    found = machine(run_dir)
    yield from machine_checks(config, found)
    if solver is not None:
        yield solver_check(solver)
    yield from environment_checks(config, factory, Trial.of(config, factory), found)


def preflight(config: TrainConfig, factory: EnvFactory, run_dir: Path, *, warn: Callable[[str], Any]) -> RewardSignal:
    """Raise the file limit, then refuse a run that would fail; what is only unwise goes to `warn`.

    Returns
    -------
    RewardSignal
        The returns that were seen, which the watchdog should know of.

    Raises
    ------
    RedoxError
        The first check that fails, with the command that helps.
    """
    found = machine(run_dir)
    _settle(machine_checks(config, found), warn)
    raise_file_limit()
    trial = Trial.of(config, factory)
    _settle(environment_checks(config, factory, trial, found), warn)
    return trial.signal


def _settle(checks: Iterable[Check], warn: Callable[[str], Any]) -> None:
    for check in checks:
        text = f"{check.name}: {check.found}; needed: {check.needed}"
        if check.level is Level.FAIL:
            raise RedoxError(text, hint=check.remedy)
        if check.level is Level.WARN:
            warn(f"{text}; {check.remedy}")


def _count(value: float) -> str:
    return "unlimited" if math.isinf(value) else f"{value:,.0f}"


def _size(value: float) -> str:
    return f"{value / MEGABYTE:,.0f} MB" if value >= MEGABYTE else f"{value / 1e3:,.0f} kB"
