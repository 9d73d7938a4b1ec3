"""The trainer: collects rollouts in this process or with Ray actors, and learns from them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner_thread import LearnerThread
from redox_balancer.impala.rollout import EnvFactory, RolloutCollector
from redox_balancer.impala.scale_up import INITIAL_ACTORS, ScaleUp
from redox_balancer.runs import checkpoint
from redox_balancer.runs.lock import sole_trainer, unwritable
from redox_balancer.runs.preflight import preflight
from redox_balancer.runs.progress import ProgressSink
from redox_balancer.runs.record import write_record
from redox_balancer.runs.remote.uploader import uploading
from redox_balancer.runs.resume import check_fits, find_start
from redox_balancer.runs.run import TrainingRun, TrainResult
from redox_balancer.runs.signals import kill_children_and_exit, stop_on_signals
from redox_balancer.runs.watchdog import NonsenseError

if TYPE_CHECKING:
    from redox_balancer.impala.actor_pool import ActorPool

_POLL_S = 0.01  # time that the loop waits for rollouts before it checks the learner again


def train(
    config: TrainConfig,
    factory: EnvFactory,
    run_dir: Path,
    *,
    resume: str | Path | None,
    progress: ProgressSink,
    about: Mapping[str, Any] | None = None,
    collector: type[RolloutCollector] = RolloutCollector,
) -> TrainResult:
    """Train a policy until it has `config.timesteps` environment steps, or until SIGINT, SIGTERM or SIGHUP.

    Any exception of an environment or an actor is raised after the state of the last update has been saved.

    Parameters
    ----------
    config
        Settings of the run.
    factory
        Creates the environments.
    run_dir
        Folder of the run, for its settings, metrics and checkpoints.
    resume
        "auto" resumes from the newest intact checkpoint in `run_dir` and starts a new run where there is none; a path
        resumes from that checkpoint, or from the newest one of that run; None starts a new run.
    progress
        Receives progress, messages and warnings.
    about
        The task that the environments were made from, ready for JSON; stored in `config.json` as "task".
    collector
        Class that collects the rollouts; benchmarks replay recorded ones.

    Raises
    ------
    RedoxError
        Where the folder or `config.remote` holds another run or belongs to another trainer, `resume` is not a
        checkpoint or one of another environment, a preflight check fails, an actor keeps dying, or the last
        checkpoint cannot be written.
    NonsenseError
        Where the watchdog ends the run; its last state is not saved.
    """
    with sole_trainer(run_dir), uploading(config, run_dir, resume=resume, progress=progress) as uploader:
        started, fingerprint = time.monotonic(), dict(factory.fingerprint)
        restored = find_start(run_dir, resume, progress)
        if restored is not None:
            check_fits(fingerprint, restored)
            steps = f"{restored.step:,} of {config.timesteps:,}"
            if restored.step >= config.timesteps:
                progress.message(f"{restored.path} already has {steps} steps: nothing left to do")
                return TrainResult(restored.step, restored.state["updates"], 0.0, restored.path, True, {})  # noqa: FBT003
            progress.message(f"resuming {restored.path} at step {steps}")
        checked = preflight(config, factory, run_dir, warn=progress.warning)
        try:
            checkpoint.remove_leftovers(run_dir)
            about = about or {}
            write_record(run_dir, config, about, fingerprint, restored=restored, warn=progress.warning)
            run = TrainingRun(
                config,
                fingerprint=fingerprint,
                folder=run_dir,
                restored=restored,
                progress=progress,
                known_returns=checked.returns,
                started=started,
                uploader=uploader,
            )
        except OSError as error:
            raise unwritable(run_dir, error) from error
        try:
            if config.num_actors == 0:
                return _train_serial(run, factory, collector)
            return _train_with_actors(run, factory, collector, initial=min(checked.actors, INITIAL_ACTORS))
        finally:
            run.close()


def _train_serial(run: TrainingRun, factory: EnvFactory, collector_class: type[RolloutCollector]) -> TrainResult:
    """Collect and learn in turn; with intervals in steps the same settings reproduce a run bit for bit.

    At each save the collector drops its unfinished episodes and environments, as a process that resumes has to.
    """
    config = run.config
    settings = {**config.collector, "incarnation": run.incarnations[0], "state": run.collector_state}
    collector = collector_class(factory, **settings)
    try:
        learner = run.learner(collector.shape)
        with stop_on_signals() as stop:
            try:
                while not (run.finished or stop.is_set()):
                    collector.set_weights(run.state.parameters, run.state.updates)
                    rollouts = [collector.collect() for _ in range(config.rollouts_per_batch)]
                    for rollout in rollouts:
                        run.check(rollout)
                    run.record(learner.update(rollouts))
                    run.poll()
                    if run.save_due:
                        run.save(collector.state())
                        run.settle()
                        collector.restart()
            except NonsenseError:
                raise
            except Exception:
                run.save_after_error(collector.state())
                raise
            return run.finish(collector.state())
    finally:
        collector.close()


def _train_with_actors(
    run: TrainingRun, factory: EnvFactory, collector: type[RolloutCollector], *, initial: int
) -> TrainResult:
    """Collect with Ray actors, at first `initial` of them, while a thread learns."""
    # A serial run does not load Ray.
    from redox_balancer.impala.actor_pool import ActorPool  # noqa: PLC0415
    from redox_balancer.impala.cluster import ray_cluster, ray_daemons  # noqa: PLC0415

    config = run.config
    failure: Exception | None = None
    with stop_on_signals(second=kill_children_and_exit) as stop, ray_cluster(config):
        pool = ActorPool(config, factory, run.incarnations, run.progress.message, actors=0, collector=collector)
        run.extra_metrics, run.actor_stats, run.daemon_stats = pool.metrics, pool.process_stats, ray_daemons
        scale_up = ScaleUp(config.num_actors, pool.memory_limits, initial=initial)
        _grow(pool, scale_up, run)
        with LearnerThread(run.learner(pool.shape(stop))) as learner:
            try:
                while not (run.finished or stop.is_set()):
                    exchange(run, pool, learner)
                    run.poll()
                    if run.save_due:
                        run.save()
                    _grow(pool, scale_up, run)
            except NonsenseError:
                raise
            except Exception as error:  # noqa: BLE001 - raised below, after the last update was saved
                failure = error
        try:
            _record(run, learner)
        except NonsenseError:
            raise
        except Exception as error:  # noqa: BLE001 - raised below, after the last update was saved
            failure = failure or error
        if failure is None:
            return run.finish()
        run.save_after_error()
        raise failure


def exchange(run: TrainingRun, pool: "ActorPool", learner: LearnerThread) -> None:
    """Record the updates, request rollouts of the newest policy, and pass those that are ready to the learner."""
    _record(run, learner)
    pool.publish(run.state.parameters, run.state.updates)
    pool.request(learner.unused)
    for rollout in pool.receive(_POLL_S):
        run.check(rollout)
        learner.put(rollout)


def _record(run: TrainingRun, learner: LearnerThread) -> None:
    for update in learner.updates():
        run.record(update)


def _grow(pool: "ActorPool", scale_up: ScaleUp, run: TrainingRun) -> None:
    """Start more actors when it is time to and memory allows."""
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
