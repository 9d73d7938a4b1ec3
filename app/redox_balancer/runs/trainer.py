"""The trainer: finds where to begin, collects rollouts in this process or with Ray actors, and learns from them."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version as package_version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

import psutil

from redox_balancer.errors import RedoxError
from redox_balancer.files import write_whole
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner_thread import LearnerThread
from redox_balancer.impala.rollout import EnvFactory, RolloutCollector
from redox_balancer.impala.scale_up import ScaleUp
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import Checkpoint
from redox_balancer.runs.fingerprint import differing_entries
from redox_balancer.runs.lock import sole_trainer
from redox_balancer.runs.preflight import preflight
from redox_balancer.runs.progress import ProgressSink
from redox_balancer.runs.remote.uploader import Uploader, uploading
from redox_balancer.runs.run import TrainingRun, TrainResult
from redox_balancer.runs.watchdog import NonsenseError
from redox_balancer.version import __version__

if TYPE_CHECKING:
    from redox_balancer.impala.actor_pool import ActorPool

_POLL_S = 0.01  # how long the loop waits for rollouts before it looks at the learner again
_PACKAGES = ("numpy", "torch", "gymnasium", "ray", "safetensors", "array-api-compat")


def train(
    config: TrainConfig,
    factory: EnvFactory,
    run_dir: Path,
    *,
    resume: Literal["auto"] | Path | None,
    progress: ProgressSink,
    about: Mapping[str, Any] | None = None,
    collector: type[RolloutCollector] = RolloutCollector,
) -> TrainResult:
    """Train a policy until it has `config.timesteps` environment steps, or until SIGINT or SIGTERM.

    Parameters
    ----------
    config
        Settings.
    factory
        Makes the environments.
    run_dir
        Folder of the run: settings, metrics and checkpoints.
    resume
        "auto" goes on from the newest whole checkpoint in `run_dir` and starts anew where there is none; a path
        goes on from that checkpoint or that run's newest one; None starts a new run.
    progress
        Where to report.
    about
        What the environments were made from, ready for JSON; kept in `config.json` under "task".
    collector
        What collects the rollouts; the benchmarks replay recorded ones.

    Raises
    ------
    RedoxError
        Where the folder or `config.remote` holds another run or belongs to another trainer, `resume` is no checkpoint
        or one of another environment, a preflight check fails, an actor keeps dying, or the last checkpoint cannot be
        written.
    NonsenseError
        Where the watchdog ends the run; what it distrusts is not saved.
    """
    with sole_trainer(run_dir), uploading(config, run_dir, resume=resume, progress=progress) as uploader:
        return _train(
            config,
            factory,
            run_dir,
            resume=resume,
            progress=progress,
            about=about or {},
            collector=collector,
            uploader=uploader,
        )


def _train(
    config: TrainConfig,
    factory: EnvFactory,
    run_dir: Path,
    *,
    resume: Literal["auto"] | Path | None,
    progress: ProgressSink,
    about: Mapping[str, Any],
    collector: type[RolloutCollector],
    uploader: Uploader | None,
) -> TrainResult:
    """`train` without the locks of the folder and of the remote run."""
    started = time.monotonic()
    restored = _restore(run_dir, resume, progress)
    if restored is not None:
        _check_fits(factory, restored)
        if restored.step >= config.timesteps:
            progress.message(
                f"{restored.path} already has {restored.step:,} of {config.timesteps:,} steps: nothing left to do; "
                "more --timesteps train further"
            )
            return TrainResult(restored.step, restored.state["updates"], 0.0, restored.path, True, {})  # noqa: FBT003
        progress.message(f"resuming {restored.path} at step {restored.step:,} of {config.timesteps:,}")
    reward = preflight(config, factory, run_dir, warn=progress.warning)
    try:
        checkpoint.remove_leftovers(run_dir)
        _write_settings(config, factory, run_dir, about)
        run = TrainingRun(
            config,
            fingerprint=dict(factory.fingerprint),
            folder=run_dir,
            restored=restored,
            progress=progress,
            seen=reward.returns,
            started=started,
            uploader=uploader,
        )
    except OSError as error:
        raise RedoxError(
            f"cannot write to {run_dir}: {error.strerror}", hint="choose another folder, or free some disk"
        ) from error
    try:
        serial = config.num_actors == 0
        return _train_serial(run, factory, collector) if serial else _train_with_actors(run, factory, collector)
    finally:
        run.close()


def _restore(run_dir: Path, resume: Literal["auto"] | Path | None, progress: ProgressSink) -> Checkpoint | None:
    """Find the checkpoint to go on from, None for a new start."""
    existing = checkpoint.steps(run_dir)
    if resume is None:
        if existing:
            raise RedoxError(
                f"{run_dir} already holds a run, up to step {next(iter(existing)):,}",
                hint="--resume auto goes on with it; another folder starts a new one",
            )
        return None
    if resume == "auto" and not existing:
        if damaged_before := checkpoint.damaged(run_dir):
            raise RedoxError(
                f"{run_dir} holds only damaged checkpoints ({', '.join(path.name for path in damaged_before)})",
                hint="bring back a whole one from a backup, or train into another folder",
            )
        progress.message(f"no checkpoint in {run_dir}: starting anew")
        return None
    restored, damaged = checkpoint.find(run_dir if resume == "auto" else resume)
    for path, reason in damaged.items():
        progress.warning(f"{reason}; using {restored.path.name}")
        if path.parent.resolve() == run_dir.resolve():
            checkpoint.set_aside(path)
    branches = existing and restored.path.resolve().parent != run_dir.resolve()
    if branches or any(step > restored.step for step in checkpoint.steps(run_dir)):
        raise RedoxError(
            f"{run_dir} holds checkpoints that do not come before {restored.path}",
            hint="--resume auto goes on from the newest; an older or foreign one needs a folder of its own",
        )
    return restored


def _check_fits(factory: EnvFactory, restored: Checkpoint) -> None:
    """Refuse a checkpoint that was trained on another environment."""
    if differing := differing_entries(factory.fingerprint, restored.state["fingerprint"]):
        raise RedoxError(
            f"{restored.path} was trained on another environment: {', '.join(differing)} differ",
            hint="resume with the model, enzymes and conditions of that run (its config.json), or start a new one",
        )


def _write_settings(config: TrainConfig, factory: EnvFactory, run_dir: Path, about: Mapping[str, Any]) -> None:
    """Write `config.json`: what it takes to repeat the run."""
    settings = {
        "settings": config.as_dict(),
        "task": dict(about),
        "environment": dict(factory.fingerprint),
        "git_commit": _git_commit(),
        "versions": {
            "redox_balancer": __version__,
            "python": platform.python_version(),
            **{name: package_version(name) for name in _PACKAGES},
        },
    }
    write_whole(run_dir / "config.json", json.dumps(settings, indent=1).encode())


def _git_commit() -> str | None:
    """Return the commit of the source this runs from, as an image or a checkout says; None where neither does."""
    if given := os.environ.get("REDOX_COMMIT"):
        return given
    git = shutil.which("git")
    if git is None:
        return None
    answer = subprocess.run(  # noqa: S603 - fixed arguments
        [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None


def _train_serial(run: TrainingRun, factory: EnvFactory, collects: type[RolloutCollector]) -> TrainResult:
    """Collect and learn in turns; with intervals in steps the same settings give the same bits.

    At each save the collector drops its unfinished episodes and environments, as a process that resumes has to.
    """
    config = run.config
    collector = collects(
        factory,
        count=config.envs_per_actor,
        length=config.rollout_length,
        hidden_sizes=config.hidden_sizes,
        seed=config.seed,
        incarnation=run.incarnations[0],
        state=run.collector_state,
    )
    try:
        learner = run.learner(collector.shape)
        with _stop_on_signals() as stop:
            while not (run.finished or stop.is_set()):
                collector.set_weights(run.state.parameters, run.state.updates)
                rollouts = [collector.collect() for _ in range(config.rollouts_per_batch)]
                for rollout in rollouts:
                    run.see(rollout)
                run.record(learner.update(rollouts))
                run.poll()
                if run.save_due:
                    run.save(collector.state())
                    run.settle()
                    collector.restart()
            return run.finish(collector.state())
    finally:
        collector.close()


def _train_with_actors(run: TrainingRun, factory: EnvFactory, collector: type[RolloutCollector]) -> TrainResult:
    """Collect with Ray actors while a thread learns; an error of an actor leaves the last state saved."""
    # A serial run needs no Ray.
    from redox_balancer.impala.actor_pool import ActorPool  # noqa: PLC0415
    from redox_balancer.impala.cluster import ray_cluster, ray_daemons  # noqa: PLC0415

    config = run.config
    failure: RedoxError | None = None
    with _stop_on_signals(second=_leave) as stop, ray_cluster(config):
        pool = ActorPool(config, factory, run.incarnations, run.progress.message, actors=0, collector=collector)
        run.gauges, run.actors, run.daemons = pool.metrics, pool.process_stats, ray_daemons
        scale_up = ScaleUp(config.num_actors, pool.budget_bytes)
        _grow(pool, scale_up, run)
        with LearnerThread(run.learner(pool.shape(stop))) as learner:
            try:
                while not (run.finished or stop.is_set()):
                    pool.publish(run.state.parameters, run.state.updates)
                    # A learner that falls behind slows the actors down; rollouts that wait only grow old.
                    if learner.waiting < 2 * config.rollouts_per_batch:
                        pool.request()
                    for rollout in pool.receive(_POLL_S):
                        run.see(rollout)
                        learner.put(rollout)
                    for update in learner.updates():
                        run.record(update)
                    run.poll()
                    if run.save_due:
                        run.save()
                    _grow(pool, scale_up, run)
            except NonsenseError:
                raise
            except RedoxError as error:
                failure = error
        for update in learner.updates():
            run.record(update)
        result = run.finish()
    if failure is not None:
        raise failure
    return result


def _grow(pool: ActorPool, scale_up: ScaleUp, run: TrainingRun) -> None:
    """Start more actors where it is time to and memory allows."""
    now = time.monotonic()
    if not scale_up.due(now):
        return
    available, total = pool.memory()
    decision = scale_up.consider(
        now,
        running=pool.size,
        uss_bytes=[stats.uss_bytes for stats in pool.process_stats().values()],
        available_bytes=available,
        total_bytes=total,
    )
    if decision is not None:
        run.progress.message(decision.reason)
        pool.grow(decision.actors)


def _leave(number: int) -> None:
    """End this process at once, with all it started: some of Ray's processes would outlive it."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended by itself
            child.kill()
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")  # a progress bar hides the cursor
        sys.stderr.flush()
    os._exit(128 + number)


@contextmanager
def _stop_on_signals(second: Callable[[int], None] | None = None) -> Iterator[threading.Event]:
    """Give an event that the first SIGINT or SIGTERM sets; a second one acts as it did before, or calls `second`.

    Only a main thread can receive signals; elsewhere the event stays unset.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request_stop(number: int, _frame: FrameType | None) -> None:
        if second is not None and stop.is_set():
            second(number)
        stop.set()
        if second is None:
            restore()

    for number in before:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        restore()
