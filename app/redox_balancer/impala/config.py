"""Every setting of a training run, each with the line of help that the command line shows."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from redox_balancer.errors import RedoxError
from redox_balancer.settings import SettingsModel

MIN_OBJECT_STORE_BYTES = 80_000_000  # Ray refuses less than 75 MiB
MAX_PENDING = 2  # rollouts requested from one actor: it starts the second while the first is in transit
MAX_BATCHES = 3  # requested and not yet in an update, unless there are more actors
SLOWEST = 4  # times the mean duration: what a rollout may take without being dropped
RETURN_SCALE = 0.02
OLD_SETTINGS = {"passes": 1, "return_scale": 0.0}
"""What held in runs that are older than these settings."""


def _setting(default: Any, text: str, **limits: Any) -> Any:
    """A setting with its line of help and its limits, by pydantic's names of them."""
    return Field(default=default, description=text, **limits)


class TrainConfig(SettingsModel):
    """Settings of one run; a value out of range is a RedoxError that names it.

    A batch consists of whole rollouts of `rollout_length` x `envs_per_actor` transitions. An update therefore takes
    `batch_size` transitions rounded up to whole rollouts, and more with many actors, so that rollouts are far younger
    than `max_lag` when they are used.
    """

    timesteps: int = _setting(150_000, "Environment steps to train for, over all processes of the run.", ge=1)
    num_actors: int = _setting(2, "Actor processes; 0 collects in this process (serial and deterministic).", ge=0)
    envs_per_actor: int = _setting(16, "Environments per actor; they share one linear program.", ge=1)
    rollout_length: int = _setting(16, "Steps of each environment in one rollout (T).", ge=1)
    batch_size: int = _setting(
        512,
        "Transitions per update, of each cell; raised where the largest lag would drop rollouts of many actors.",
        ge=1,
    )
    passes: int = _setting(
        4, "Gradient steps on each batch; V-trace corrects for what the policy has changed in between.", ge=1
    )
    return_scale: float | None = _setting(
        None,
        "Return up to which the learner's grows in proportion; beyond, it grows with the logarithm, so that "
        "a share of a small return counts as much as that of a large one. 0: in proportion everywhere. By default "
        f"{RETURN_SCALE:g}, and 0 under a hidden condition.",
        ge=0,
    )
    seed: int = _setting(0, "Seed of all random number generators.", ge=0)

    hidden_sizes: tuple[Annotated[int, Field(ge=1)], ...] = _setting(
        (128, 128), "Units of each hidden layer of the policy."
    )
    learning_rate: float = _setting(2e-3, "Adam's learning rate at step 0.", gt=0)
    learning_rate_end: float = _setting(1e-4, "Learning rate at the last step; linear in between.", ge=0)
    entropy_cost: float = _setting(0.1, "Weight of the entropy bonus at step 0.", ge=0)
    entropy_cost_end: float = _setting(
        1e-3, "Weight of the entropy bonus at the last step; geometric in between.", ge=0
    )
    baseline_cost: float = _setting(0.5, "Weight of the value loss.", ge=0)
    max_grad_norm: float = _setting(1.0, "Gradients are scaled down to this norm.", gt=0)
    gamma: float = _setting(
        1.0, "Discount; with 1 the return of an episode is the value of its construct.", ge=0, le=1
    )
    vtrace_lambda: float = _setting(
        1.0, "V-trace lambda, the share of later corrections that is traced back.", ge=0, le=1
    )
    rho_clip: float = _setting(1.0, "V-trace: largest importance ratio in a target.", gt=0)
    c_clip: float = _setting(1.0, "V-trace: largest importance ratio in a trace.", gt=0)
    pg_rho_clip: float = _setting(1.0, "V-trace: largest importance ratio in a policy gradient.", gt=0)
    max_lag: int = _setting(
        50, "Rollouts of a policy more than this many versions old are dropped and counted.", ge=0
    )

    save_interval_s: float = _setting(300.0, "Seconds between checkpoints.", gt=0)
    save_interval_steps: int = _setting(
        0, "Environment steps between checkpoints; 0 uses the interval in seconds.", ge=0
    )
    keep_checkpoints: int = _setting(5, "Number of newest checkpoints to keep.", ge=1)
    keep_every_steps: int = _setting(
        0, "Keep the first checkpoint of every this many steps permanently; 0 keeps none.", ge=0
    )
    heartbeat_interval_s: float = _setting(5.0, "Seconds between two heartbeats (heartbeat.json).", gt=0)
    log_interval_s: float = _setting(5.0, "Seconds between two rows of metrics.", gt=0)
    log_interval_steps: int = _setting(
        0, "Environment steps between two rows of metrics; 0 uses the interval in seconds.", ge=0
    )

    remote: str = _setting("", "Bucket that receives each checkpoint, s3://BUCKET/experiments/RUN; empty for none.")
    remote_lock_s: float = _setting(120.0, "Seconds until the lock of a dead trainer on the bucket expires.", gt=0)
    remote_timeout_s: float = _setting(
        20.0, "Seconds without an answer until a request to the bucket is retried.", gt=0
    )
    remote_patience_s: float = _setting(
        60.0, "Seconds to wait at the start and the end of a run for a bucket that does not answer.", gt=0
    )

    learner_cells: int = _setting(
        1,
        "Cells: learners with a share of the actors each, in processes of their own, that average their gradients. "
        "More than one for more actors than one learner can serve.",
        ge=1,
    )
    learner_threads: int = _setting(1, "Threads of the learner's linear algebra.", ge=1)
    device: str = _setting("cpu", "Device of the learner, as torch names it.")
    max_actors: int = _setting(120, "Upper limit of actors; raise it knowingly, each actor takes memory.")
    actor_timeout_s: float = _setting(300.0, "Seconds without a result after which an actor is replaced.")
    actor_memory_mb: int = _setting(
        0, "Memory in MB beyond which an actor is replaced; 0 divides the free memory among the actors."
    )
    ray_address: str = _setting("", "Ray cluster to join ('auto' or host:port); empty starts one on this machine.")
    dashboard: str = _setting(
        "", "HOST:PORT of the dashboard of a Ray started here; empty for none.", pattern=r"^(.*:\d+)?$"
    )
    learner_resource: str = _setting("", "Ray resource that the node of the learner must offer; empty requires none.")
    object_store_bytes: int = _setting(0, "Size of Ray's object store; 0 takes a share of this machine's memory.")

    @model_validator(mode="after")
    def _check_what_goes_together(self) -> Self:
        if self.num_actors > self.max_actors:
            raise RedoxError(
                f"num_actors is {self.num_actors}, it must be at most {self.max_actors}",
                hint="start fewer actors, or raise the limit",
                settings=("num_actors", "max_actors"),
            )
        if 1 < self.learner_cells > self.num_actors:
            raise RedoxError(
                f"learner_cells is {self.learner_cells}, and num_actors is {self.num_actors}",
                hint="each cell needs an actor: start more actors, or use fewer cells",
                settings=("learner_cells", "num_actors"),
            )
        if (self.entropy_cost > 0) != (self.entropy_cost_end > 0):
            raise RedoxError(
                f"entropy_cost_end is {self.entropy_cost_end}, and entropy_cost is {self.entropy_cost}",
                hint="both must be above 0, or both 0",
                settings=("entropy_cost_end",),
            )
        if 0 != self.object_store_bytes < MIN_OBJECT_STORE_BYTES:
            raise RedoxError(
                f"object_store_bytes is {self.object_store_bytes}, and Ray needs {MIN_OBJECT_STORE_BYTES} at least",
                hint="choose a larger object store, or 0 for a share of this machine's memory",
                settings=("object_store_bytes",),
            )
        return self

    @property
    def rollouts_per_batch(self) -> int:
        """Rollouts per update."""
        wanted = -(-self.batch_size // (self.rollout_length * self.envs_per_actor))
        return max(wanted, min_rollouts_per_batch(self.num_actors, self.max_lag))

    def max_outstanding(self, actors: int) -> int:
        """Return how many rollouts of this many actors may be requested and not yet in an update."""
        return max(min(MAX_BATCHES, max(self.max_lag, 1)) * self.rollouts_per_batch, actors)

    @property
    def collector(self) -> dict[str, Any]:
        """Arguments of a `RolloutCollector`."""
        sizes = {"count": self.envs_per_actor, "length": self.rollout_length, "hidden_sizes": self.hidden_sizes}
        scale = RETURN_SCALE if self.return_scale is None else self.return_scale
        return sizes | {"return_scale": scale, "seed": self.seed}


def min_rollouts_per_batch(num_actors: int, max_lag: int) -> int:
    """Return the smallest batch, in rollouts, with which actors that all play drop no rollout as too old.

    While an actor plays one rollout, each of the others delivers one, and `num_actors` / batch updates take them: a
    `SLOWEST`th of `max_lag` + 1, so that an actor may be so much slower than the mean.
    """
    return min(-(-SLOWEST * num_actors // (max_lag + 1)), num_actors)
