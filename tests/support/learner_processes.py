"""Learners in processes of their own that form a group; the test's process hosts the rendezvous."""

import multiprocessing
import os
import signal
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner import Learner, LearnerState
from redox_balancer.impala.learner_group import LearnerGroup, Rendezvous, RendezvousAddress
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import Rollout, RolloutCollector
from toy_envs import Shelves

HOST = "127.0.0.1"
CONFIG = TrainConfig(timesteps=100_000, envs_per_actor=4, rollout_length=8, batch_size=32, hidden_sizes=(16,))
PATIENCE_S = 60.0


def played(actor: int, count: int = 1) -> tuple[PolicyShape, list[Rollout]]:
    """Rollouts of an actor with the first policy of a run."""
    source = RolloutCollector(Shelves(), count=4, length=8, hidden_sizes=(16,), seed=3, actor=actor)
    source.set_weights(LearnerState.fresh(source.shape, 3).parameters, 0)
    return source.shape, [source.collect() for _ in range(count)]


def checksum(state: LearnerState) -> int:
    """A number that tells states apart."""
    return zlib.crc32(b"".join(np.asarray(each).tobytes() for each in state))


class _FaultyGroup(LearnerGroup):
    """A group whose process has a fault in its sum number `at`, after its part in it has begun."""

    def __init__(self, *where: Any, fault: str, at: int) -> None:
        super().__init__(*where)
        self._fault, self._left_until = fault, at

    def _summed(self, vector: Any) -> Any:
        self._left_until -= len(vector) > 2 and vector.is_floating_point()
        return super()._summed(vector)

    def _wait(self, work: Any) -> None:
        if self._left_until == 0:
            self._left_until = -1
            if self._fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self._fault == "left behind":
                super()._wait(work)
            raise RuntimeError(self._fault)  # the others may have their sum, this one does not
        super()._wait(work)


def _learn(pipe: Connection, address: RendezvousAddress, name: str, *settings: Any) -> None:
    """Update until a version is reached, and answer with the gradient of the last step and the newest states."""
    rollouts, changes, fault = settings
    pipe.send("started")
    pipe.recv()
    where = address, name, HOST, PATIENCE_S
    group = _FaultyGroup(*where, **fault) if fault else LearnerGroup(*where)
    shape, batch = played(int(name.partition(".")[0]), rollouts)
    learner = Learner(CONFIG.changed(**changes), shape, LearnerState.fresh(shape, 3), group)
    pipe.send((learner.version, learner.taken))
    states = deque[LearnerState](maxlen=5)
    while (version := pipe.recv()) > 0:
        while learner.version < version:
            states.append(learner.update(batch).state)
        gradient = learner._flat.grad
        assert gradient is not None
        pipe.send((gradient.numpy(), {state.updates: (checksum(state), state.steps) for state in states}))


class Learners:
    """Processes by name, `number.generation`."""

    def __init__(self, rendezvous: Rendezvous) -> None:
        self.rendezvous = rendezvous
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, "torch._dynamo"])  # which the optimizer loads
        self.pipes = dict[str, Any]()
        self.processes = dict[str, Any]()

    def start(self, name: str, rollouts: int = 1, fault: Mapping[str, Any] | None = None, **changes: Any) -> None:
        ours, theirs = self._context.Pipe()
        arguments = theirs, self.rendezvous.address, name, rollouts, changes, fault
        self.processes[name] = self._context.Process(target=_learn, args=arguments, daemon=True)
        self.processes[name].start()
        theirs.close()
        self.pipes[name] = ours
        assert ours.recv() == "started"

    def form(self) -> None:
        """Name all of them as members."""
        self.rendezvous.form(tuple(self.pipes))

    def ask(self, version: int, *names: str) -> None:
        """Let some, by default all, join or update until they have a version."""
        for name in names or tuple(self.pipes):
            self.pipes[name].send(version)

    def answers(self, *names: str) -> dict[str, Any]:
        """An answer of each; those who die are no members any more."""
        found, missing = dict[str, Any](), set(names or self.pipes)
        while missing:
            for pipe in wait([self.pipes[name] for name in missing], 0.05):
                name = next(name for name in missing if self.pipes[name] is pipe)
                missing.remove(name)
                try:
                    found[name] = self.pipes[name].recv()
                except EOFError:
                    del self.pipes[name]
                    self.form()
            if self.rendezvous.broken:
                self.form()
        return found


@contextmanager
def learners() -> Iterator[Learners]:
    """Processes that end with the test."""
    group = Learners(Rendezvous(HOST))
    try:
        yield group
    finally:
        for process in group.processes.values():
            process.kill()
            process.join()


def started(group: Learners, count: int, faults: Sequence[Mapping[str, Any] | None] = (), **changes: Any) -> None:
    """Start learners, who all join."""
    for number in range(count):
        group.start(f"{number}.0", fault=faults[number] if number < len(faults) else None, **changes)
    join(group)


def join(group: Learners) -> None:
    """Let learners who have just been started join."""
    group.form()
    group.ask(0)
    group.answers()
