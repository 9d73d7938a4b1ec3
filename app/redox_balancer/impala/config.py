"""Every setting of a training run, each with a line of help that the command line shows."""

from __future__ import annotations

from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any

from redox_balancer.errors import RedoxError

MIN_OBJECT_STORE_BYTES = 80_000_000  # Ray refuses less than 75 MiB
ROLLOUTS_OWED = 2
"""Rollouts that an actor is asked for at any time: it starts the second while the first one's result travels."""


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run; a value out of range is a RedoxError that names it.

    A batch is made of whole rollouts of `rollout_length` x `envs_per_actor` transitions, so an update takes
    `batch_size` transitions rounded up to whole rollouts, and with many actors so many that none of theirs grows
    older than `max_lag`.
    """

    timesteps: int = _setting(2_000_000, "Environment steps to train for, over all processes of the run.")
    num_actors: int = _setting(2, "Actor processes; 0 collects in this process (serial and deterministic).")
    envs_per_actor: int = _setting(16, "Environments of one actor; they share one linear program.")
    rollout_length: int = _setting(16, "Steps of each environment in one rollout (T).")
    batch_size: int = _setting(
        512, "Transitions of one update; more where --max-lag would drop rollouts of many actors."
    )
    seed: int = _setting(0, "Seed of everything random.")

    hidden_sizes: tuple[int, ...] = _setting((128, 128), "Units of each hidden layer of the policy.")
    learning_rate: float = _setting(2e-3, "Adam's learning rate at step 0.")
    learning_rate_end: float = _setting(1e-4, "Learning rate at the last step; linear in between.")
    entropy_cost: float = _setting(0.1, "Weight of the entropy bonus at step 0.")
    entropy_cost_end: float = _setting(1e-3, "Weight of the entropy bonus at the last step; geometric in between.")
    baseline_cost: float = _setting(0.5, "Weight of the value loss.")
    max_grad_norm: float = _setting(1.0, "Gradients are scaled down to this norm.")
    gamma: float = _setting(1.0, "Discount; exactly 1 makes an episode's return its construct's value.")
    vtrace_lambda: float = _setting(1.0, "V-trace lambda, the share of later corrections that is traced back.")
    rho_clip: float = _setting(1.0, "V-trace: largest importance ratio in a target.")
    c_clip: float = _setting(1.0, "V-trace: largest importance ratio in a trace.")
    pg_rho_clip: float = _setting(1.0, "V-trace: largest importance ratio in a policy gradient.")
    max_lag: int = _setting(50, "Rollouts of a policy more versions old than this are dropped and counted.")

    save_interval_s: float = _setting(300.0, "Seconds between checkpoints.")
    save_interval_steps: int = _setting(0, "Environment steps between checkpoints; 0 goes by seconds.")
    keep_checkpoints: int = _setting(5, "Newest checkpoints to keep.")
    keep_every_steps: int = _setting(0, "Keep the first checkpoint of every so many steps for good; 0 keeps none.")
    heartbeat_interval_s: float = _setting(5.0, "Seconds between two writings of heartbeat.json.")
    log_interval_s: float = _setting(5.0, "Seconds between two rows of metrics.")
    log_interval_steps: int = _setting(0, "Environment steps between two rows of metrics; 0 goes by seconds.")

    remote: str = _setting("", "Bucket that gets each checkpoint, s3://BUCKET/experiments/RUN; empty for none.")
    remote_lock_s: float = _setting(120.0, "Seconds after which a dead trainer's lock on --remote may be taken over.")
    remote_timeout_s: float = _setting(20.0, "Seconds of silence after which a request to --remote is tried again.")
    remote_patience_s: float = _setting(60.0, "Seconds that start and end of a run wait for a --remote that is away.")

    learner_threads: int = _setting(1, "Threads of the learner's linear algebra.")
    device: str = _setting("cpu", "Device of the learner, as torch names it.")
    max_actors: int = _setting(120, "More actors are refused; the first system ran out of memory with more.")
    actor_timeout_s: float = _setting(300.0, "An actor that gives nothing for so many seconds is replaced.")
    actor_memory_mb: int = _setting(0, "An actor that takes more is replaced; 0 shares out the free memory.")
    ray_address: str = _setting("", "Ray cluster to join ('auto' or host:port); empty starts one here.")
    dashboard: str = _setting("", "HOST:PORT of the dashboard of a Ray that is started here; empty for none.")
    learner_resource: str = _setting("", "Ray resource that the node of the learner must offer; empty asks for none.")
    object_store_bytes: int = _setting(0, "Size of Ray's object store; 0 takes a share of this machine's memory.")

    def __post_init__(self) -> None:
        # A configuration read back from JSON brings a list.
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        at_least_one = (
            "timesteps", "envs_per_actor", "rollout_length", "batch_size", "keep_checkpoints", "learner_threads",
        )  # fmt: skip
        for name in at_least_one:
            self._require(name, getattr(self, name) >= 1, "at least 1")
        not_negative = (
            "num_actors", "seed", "max_lag", "entropy_cost", "entropy_cost_end", "baseline_cost",
            "learning_rate_end", "save_interval_steps", "log_interval_steps", "keep_every_steps",
        )  # fmt: skip
        for name in not_negative:
            self._require(name, getattr(self, name) >= 0, "0 or more")
        positive = (
            "learning_rate", "max_grad_norm", "rho_clip", "c_clip", "pg_rho_clip",
            "save_interval_s", "log_interval_s", "heartbeat_interval_s",
            "remote_lock_s", "remote_timeout_s", "remote_patience_s",
        )  # fmt: skip
        for name in positive:
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require(
            "num_actors", self.num_actors <= self.max_actors, f"at most {self.max_actors} (--max-actors allows more)"
        )
        self._require(
            "entropy_cost_end",
            (self.entropy_cost > 0) == (self.entropy_cost_end > 0),
            "above 0 where entropy_cost is, and 0 where that is 0",
        )
        for name in ("gamma", "vtrace_lambda"):
            self._require(name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        _, colon, port = self.dashboard.rpartition(":")
        named = bool(colon) and port.isdigit()
        self._require("dashboard", named or not self.dashboard, "empty or like 127.0.0.1:8265")
        self._require("hidden_sizes", all(units >= 1 for units in self.hidden_sizes), "at least 1 each")
        self._require(
            "object_store_bytes",
            self.object_store_bytes == 0 or self.object_store_bytes >= MIN_OBJECT_STORE_BYTES,
            f"0 or at least {MIN_OBJECT_STORE_BYTES}",
        )

    def _require(self, name: str, fine: bool, wanted: str) -> None:  # noqa: FBT001 - reads as a sentence
        if not fine:
            option = name.replace("_", "-")
            raise RedoxError(
                f"{name} is {getattr(self, name)!r}, it must be {wanted}", hint=f"change --{option}: {help_of(name)}"
            )

    @property
    def rollouts_per_batch(self) -> int:
        """Rollouts that make one update."""
        wanted = -(-self.batch_size // (self.rollout_length * self.envs_per_actor))
        return max(wanted, fresh_rollouts(self.num_actors, self.max_lag))

    def as_dict(self) -> dict[str, Any]:
        """Every setting, ready for JSON."""
        return {**asdict(self), "hidden_sizes": list(self.hidden_sizes)}


def fresh_rollouts(num_actors: int, max_lag: int) -> int:
    """Rollouts an update must take at least, so that none waits for more than `max_lag` updates.

    An actor gets its weights when it is asked for a rollout. Until that rollout is learnt from, all `ROLLOUTS_OWED`
    rollouts of all actors may have come before it, and `max_lag` + 1 updates must take them.
    """
    return -(-ROLLOUTS_OWED * num_actors // (max_lag + 1))


def help_of(name: str) -> str:
    """Return the line of help of a setting."""
    by_name: dict[str, Field[Any]] = {setting.name: setting for setting in fields(TrainConfig)}
    return str(by_name[name].metadata["help"])
