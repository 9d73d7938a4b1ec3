"""The trainer: collects rollouts in this process or with Ray actors, and learns from them here or in cells."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner import Update
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
        initial = min(checked.actors, INITIAL_ACTORS)
        try:
            if config.num_actors == 0:
                return _train_serial(run, factory, collector)
            if config.learner_cells > 1:
                return _train_in_cells(run, factory, collector, initial=initial)
            return _train_with_actors(run, factory, collector, initial=initial)
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
    from redox_balancer.impala.exchange import exchange, grow, record  # noqa: PLC0415

    config = run.config
    with stop_on_signals(second=kill_children_and_exit) as stop, ray_cluster(config):
        pool = ActorPool(config, factory, run.incarnations, run.progress.message, actors=0, collector=collector)
        run.extra_metrics, run.actor_stats, run.daemon_stats = pool.metrics, pool.process_stats, ray_daemons
        scale_up = ScaleUp(config.num_actors, pool.memory_limits, initial=initial)
        grow(pool, scale_up, run.progress.message)
        started = run.learner(pool.shape(stop))
        pool.publish(run.state.parameters, run.state.updates)
        with LearnerThread(started, pool.publish, pool.wake) as learner:

            def turn() -> None:
                exchange(run, pool, learner)
                grow(pool, scale_up, run.progress.message)

            failure = _failure_of(run, stop, turn)
        return _end(run, failure, lambda: record(run, learner))


def _train_in_cells(
    run: TrainingRun, factory: EnvFactory, collector: type[RolloutCollector], *, initial: int
) -> TrainResult:
    """Collect and learn in cells, whose updates this process records; at first `initial` actors collect."""
    from redox_balancer.impala.cell_pool import CellPool  # noqa: PLC0415
    from redox_balancer.impala.cluster import ray_cluster, ray_daemons  # noqa: PLC0415

    def record(updates: Iterable[Update]) -> None:
        for update in updates:
            for episodes in update.episodes:
                run.check_episodes(episodes)
            run.record(update)

    with stop_on_signals(second=kill_children_and_exit) as stop, ray_cluster(run.config):
        said = run.progress.message
        cells = CellPool(run.config, factory, run.incarnations, said, initial=initial, collector=collector)
        run.extra_metrics, run.actor_stats = cells.metrics, cells.actor_stats
        run.daemon_stats = lambda: ray_daemons() | cells.cell_stats()
        cells.learn(run.begin(cells.shape(stop)))
        failure = _failure_of(run, stop, lambda: record(cells.receive()))
        return _end(run, failure, lambda: record(cells.end()))


def _failure_of(run: TrainingRun, stop: threading.Event, turn: Callable[[], None]) -> Exception | None:
    """Train turn by turn until the run is finished or stopped; return the error that ended it before."""
    try:
        while not (run.finished or stop.is_set()):
            turn()
            run.poll()
            if run.save_due:
                run.save()
    except NonsenseError:
        raise
    except Exception as error:  # noqa: BLE001 - raised after the last update was saved
        return error
    return None


def _end(run: TrainingRun, failure: Exception | None, record: Callable[[], None]) -> TrainResult:
    """Record what is left and save it; then raise the error that ended the run, if any."""
    try:
        record()
    except NonsenseError:
        raise
    except Exception as error:  # noqa: BLE001 - raised below, after the last update was saved
        failure = failure or error
    if failure is None:
        return run.finish()
    run.save_after_error()
    raise failure
