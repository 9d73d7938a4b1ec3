"""A training under injected faults: real actors, killed and stopped by real signals."""

import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner_thread import LearnerThread
from redox_balancer.impala.rollout import EnvFactory, Rollout
from redox_balancer.runs import trainer
from redox_balancer.runs.run import TrainResult

PATIENCE_S = 120.0


@contextmanager
def rollouts_watched(note: Callable[[Rollout], None]) -> Iterator[None]:
    """Show each rollout before the learner of a training receives it."""

    class Watched(LearnerThread):
        def put(self, rollout: Rollout) -> None:
            note(rollout)
            super().put(rollout)

    with mock.patch.object(trainer, "LearnerThread", Watched):
        yield


def actor_processes() -> Iterator[psutil.Process]:
    """Processes of collectors below this one."""
    for child in psutil.Process().children(recursive=True):
        try:
            if child.cmdline()[:1] and "ray::CollectorActor" in child.cmdline()[0]:
                yield child
        except psutil.Error:  # it has just ended
            continue


@dataclass
class Damage:
    """Record of a training under faults.

    `recoveries_s` are the seconds from each fault to the first rollout of the actor's next incarnation; `sequences`
    the numbers of the rollouts that the learner received, in their order, for each (actor, incarnation);
    `steps_per_s` is counted from the first rollout of the last actor to the end.
    """

    recoveries_s: list[float] = field(default_factory=list)
    sequences: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    steps_per_s: float = 0.0
    result: TrainResult | None = None

    @property
    def rollouts(self) -> int:
        return sum(len(numbers) for numbers in self.sequences.values())

    @property
    def doubled(self) -> int:
        """Rollouts that the learner received more than once."""
        return sum(len(numbers) - len(set(numbers)) for numbers in self.sequences.values())


def break_training(
    config: TrainConfig,
    factory: EnvFactory,
    folder: Path,
    *,
    progress: Any,
    faults: Sequence[signal.Signals],
    every_s: float = 0.0,
    rest_s: float = 0.0,
) -> Damage:
    """Train, send an actor each of the signals, one every `every_s` seconds and only after the previous recovery.

    `rest_s` seconds after the last recovery the training gets SIGTERM.
    """
    damage, came, over = Damage(), threading.Condition(), threading.Event()
    transitions = 0

    def note(rollout: Rollout) -> None:
        nonlocal transitions
        with came:
            damage.sequences[rollout.actor, rollout.incarnation].append(rollout.sequence)
            transitions += rollout.transitions
            came.notify_all()

    dice = random.Random(0)  # noqa: S311 - chooses victims

    def inject() -> None:
        with came:
            whole = came.wait_for(lambda: len(damage.sequences) == config.num_actors, PATIENCE_S)
            start, before = time.monotonic(), transitions
        for number, fault in enumerate(faults if whole else (), start=1):
            if over.wait(max(0.0, start + number * every_s - time.monotonic())):
                return
            victim = dice.choice(sorted(actor_processes(), key=lambda process: process.pid))
            with came:
                seen = len(damage.sequences)
                sent = time.monotonic()
                victim.send_signal(fault)
                if not came.wait_for(lambda seen=seen: len(damage.sequences) > seen, PATIENCE_S):
                    break
                damage.recoveries_s.append(time.monotonic() - sent)
        # A failed training has ended already: no other process may receive the signal.
        if over.wait(rest_s):
            return
        damage.steps_per_s = (transitions - before) / (time.monotonic() - start)
        os.kill(os.getpid(), signal.SIGTERM)

    injector = threading.Thread(target=inject, daemon=True)
    injector.start()
    try:
        with rollouts_watched(note):
            damage.result = trainer.train(config, factory, folder, resume=None, progress=progress)
    finally:
        over.set()
    injector.join()
    return damage
