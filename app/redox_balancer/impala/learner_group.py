"""Learners in several processes that take the same steps: sums over gloo, in a group formed anew after a loss.

A process that is no learner hosts the rendezvous, a store of keys, and names the members there. Each list of members
has a number, the epoch, and a group of its own in gloo: a member that loses a peer, or sees a newer epoch, leaves its
group and meets the members of the newest epoch in the next one. There all of them take the state of the one with the
most steps. A sum is complete in one process only if the contributions of all went into it, so no one is ahead by more
than a step, and whoever is behind finds its own contribution in the state that it takes. That state may be one that a
lost member has told the host of the rendezvous, who gives it to the next group.
"""

import socket
import threading
import time
import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

import torch
import torch.distributed

dist: Any = torch.distributed  # whose types are incomplete

TAKEN = -4  # place of the number of steps in a packed state
LOOK_S = 0.2  # between two looks at the epoch, while nothing is lost
POLL_S = 0.02  # the same while others are awaited
CONNECT_S = 20.0  # for members that have all arrived
_EPOCH, _MEMBERS, _BROKEN, _TAKEN, _STATE = "epoch", "members", "broken", "taken", "state"
_SEPARATOR = ","


class RendezvousAddress(NamedTuple):
    """Where members find the store."""

    host: str
    port: int


class Rendezvous:
    """Hosts the store at an address of this machine, and names the members of the group."""

    def __init__(self, host: str) -> None:
        listening = socket.create_server((host, 0), backlog=1024)
        self.address = RendezvousAddress(host, listening.getsockname()[1])
        self._store = dist.TCPStore(
            *self.address, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach()
        )
        self._epoch = 0
        self.form(())

    @property
    def broken(self) -> bool:
        """Whether a member of the newest group has lost another one; it waits for the next group."""
        return bool(self._store.check([f"{self._epoch}/{_BROKEN}"]))

    def form(self, members: Sequence[str], state: torch.Tensor | None = None) -> None:
        """Let these form the next group; those left out leave at their next step, all of them if there are none.

        They take the packed `state`, if any, unless one of them has more steps.
        """
        self._epoch += 1
        if state is not None:
            self._store.set(f"{self._epoch}/{_STATE}", state.numpy().tobytes())
        self._store.set(f"{self._epoch}/{_TAKEN}", str(-1 if state is None else int(state[TAKEN])))
        self._store.set(f"{self._epoch}/{_MEMBERS}", _SEPARATOR.join(members))
        self._store.set(_EPOCH, str(self._epoch))


class LeftGroupError(Exception):
    """The process is not a member of the newest group: its training has ended."""


class Replica(Protocol):
    """What is the same in all members."""

    @property
    def taken(self) -> int:
        """Number of steps in the state."""
        ...

    def packed(self) -> torch.Tensor:
        """Return the state as a vector of doubles, with the number of steps at `TAKEN`."""
        ...

    def unpack(self, state: torch.Tensor) -> None:
        """Take the state that another member has packed."""
        ...


class LearnerGroup:
    """The group as one of its members sees it.

    Parameters
    ----------
    rendezvous
        Where the members are named.
    name
        Of this member; a process that takes the place of another one needs a new name.
    host
        Address of this machine that the other members can reach.
    patience_s
        Seconds after which a sum that does not end is started anew with the members of then.

    Attributes
    ----------
    looked_at
        Time of the last look at the epoch, which goes on while others are awaited.
    """

    def __init__(self, rendezvous: RendezvousAddress, name: str, host: str, patience_s: float) -> None:
        self._store = dist.TCPStore(*rendezvous, is_master=False)
        self._name, self._host, self._patience = name, host, timedelta(seconds=patience_s)
        self._group: Any = None
        self._left: list[Any] = []  # groups whose end waits for what goes on in them
        self._epoch = self._size = 0
        self.looked_at = 0.0

    def join(self, replica: Replica) -> None:
        """Wait for the group and take its state; a `LeftGroupError` where this process is no member."""
        while self._group is None:
            epoch = self._newest_epoch()
            if epoch == self._epoch:  # the group broke, as the host of the rendezvous has been told
                time.sleep(POLL_S)
                continue
            self._epoch = epoch
            members = self._store.get(f"{epoch}/{_MEMBERS}").decode().split(_SEPARATOR)
            if self._name not in members:
                raise LeftGroupError
            self._size = len(members)
            try:
                self._connect(members)
                self._agree(replica)
            except RuntimeError:
                self._leave()

    def sum(self, vector: torch.Tensor, replica: Replica) -> torch.Tensor | None:
        """Return the sum over all members, to take the next step with, in every one of them bit for bit the same.

        None where that step is in the state already, which was taken from another member.
        """
        taken = replica.taken
        while True:
            if self._group is not None and self._superseded():
                self._leave()
            if self._group is None:
                self.join(replica)
                if replica.taken != taken:
                    return None
            try:
                return self._summed(vector)
            except RuntimeError:
                self._leave()

    def _newest_epoch(self) -> int:
        self.looked_at = time.monotonic()
        return int(self._store.get(_EPOCH))

    def _superseded(self) -> bool:
        """Whether there is a newer epoch, looked up now and then."""
        return time.monotonic() - self.looked_at >= LOOK_S and self._newest_epoch() != self._epoch

    def _connect(self, members: Sequence[str]) -> None:
        """Meet the others, each of whom comes when it needs a sum, and connect."""
        self._store.set(f"{self._epoch}/{self._name}", "")
        while not self._store.check([f"{self._epoch}/{name}" for name in members]):
            if self._newest_epoch() != self._epoch:
                raise RuntimeError("the members have changed")
            time.sleep(POLL_S)
        options = dist.ProcessGroupGloo._Options()  # noqa: SLF001 - there is no public name, here and below
        options._devices = [dist.ProcessGroupGloo.create_device(hostname=self._host)]  # noqa: SLF001
        options._timeout, options._threads = timedelta(seconds=CONNECT_S), 1  # noqa: SLF001
        store = dist.PrefixStore(f"{self._epoch}/gloo", self._store)
        self._group = dist.ProcessGroupGloo(store, members.index(self._name), self._size, options)

    def _agree(self, replica: Replica) -> None:
        """Take the state of a member with the most steps, or the one that was given to the group if it has more."""
        taken = self._gathered(replica.taken)
        state, options = replica.packed(), dist.BroadcastOptions()
        if int(self._store.get(f"{self._epoch}/{_TAKEN}")) > max(taken):
            state = torch.frombuffer(bytearray(self._store.get(f"{self._epoch}/{_STATE}")), dtype=torch.float64)
        else:
            options.rootRank, options.timeout = taken.index(max(taken)), self._patience
            self._wait(self._member.broadcast([state], options))
        replica.unpack(state)
        if len(set(self._gathered(zlib.crc32(replica.packed().numpy().tobytes())))) > 1:
            raise RuntimeError("members of one group have different states")

    def _gathered(self, number: int) -> list[int]:
        """Return a number of each member."""
        numbers = torch.zeros(self._size, dtype=torch.int64)
        numbers[self._member.rank()] = number
        return [int(each) for each in self._summed(numbers)]

    def _summed(self, vector: torch.Tensor) -> torch.Tensor:
        total, options = vector.clone(), dist.AllreduceOptions()
        options.timeout = self._patience
        self._wait(self._member.allreduce([total], options))
        return total

    @property
    def _member(self) -> Any:
        if self._group is None:
            raise RuntimeError("no group")
        return self._group

    def _wait(self, work: Any) -> None:
        """Wait for an operation of the group; a RuntimeError where it fails or the members change meanwhile."""
        while True:
            try:
                work.wait(timedelta(seconds=LOOK_S))
            except RuntimeError:
                if work.is_completed():
                    work.wait()  # of the operation's own error, or it ended just after the waiting
                elif self._newest_epoch() == self._epoch:
                    continue
                else:
                    raise
            return

    def _leave(self) -> None:
        """Leave the group, whose peers then fail as well, and report it as broken."""
        self._store.set(f"{self._epoch}/{_BROKEN}", "")
        self._left.append(self._group)
        self._group = None
        threading.Thread(target=self._left.clear, daemon=True).start()
