"""Rollouts as one block of bytes: what an actor writes and the pool reads, wherever the block lies."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import Episodes, Rollout

Block = NDArray[np.uint8]
MAX_METRICS = 64  # of an environment
MAX_NAMES_BYTES = 64 * MAX_METRICS
HEALTH = 5
"""Numbers that an actor may add to a rollout."""
_COUNTS = 9  # what the block holds, in its first numbers
_WORD = 8  # bytes; where an array begins is a multiple of it
_SEPARATOR = "\n"
_INT, _FLOAT, _DOUBLE, _BOOL, _BYTE = map(np.dtype, (np.int64, np.float32, np.float64, np.bool_, np.uint8))
_ROLLOUT = (
    "observations", "masks", "actions", "log_probs", "rewards", "terminated", "truncated", "final_observations",
)  # fmt: skip
_EPISODES = ("returns", "lengths", "keys")


class Packing:
    """Where the arrays of a rollout lie in a block: T steps of B environments, for policies of one shape."""

    def __init__(self, shape: PolicyShape, *, length: int, count: int) -> None:
        self._observation_size = D = shape.observation_size
        T, B = length, count
        self._fixed = [
            ("counts", _INT, (_COUNTS,)),
            ("health", _INT, (HEALTH,)),
            ("observations", _FLOAT, (T + 1, B, D)),
            ("masks", _BOOL, (T, B, shape.actions)),
            ("actions", _INT, (T, B)),
            ("log_probs", _FLOAT, (T, B)),
            ("rewards", _FLOAT, (T, B)),
            ("terminated", _BOOL, (T, B)),
            ("truncated", _BOOL, (T, B)),
        ]
        steps = T * B
        self.block_bytes = self._layout(steps, steps, MAX_METRICS, MAX_NAMES_BYTES)[1]
        """Size of the largest rollout: every step ends an episode and truncates it."""

    def _layout(
        self, final: int, ended: int, metrics: int, names: int
    ) -> tuple[list[tuple[str, np.dtype[Any], tuple[int, ...], int]], int]:
        """Return name, type, shape and place of each array, given what differs between rollouts, and their size."""
        arrays, place = [], 0
        for name, kind, shape in (
            *self._fixed,
            ("final_observations", _FLOAT, (final, self._observation_size)),
            *((each, _DOUBLE if each == "returns" else _INT, (ended,)) for each in _EPISODES),
            ("metrics", _DOUBLE, (metrics, ended)),
            ("names", _BYTE, (names,)),
        ):
            arrays.append((name, kind, shape, place))
            place += -(-math.prod(shape) * kind.itemsize // _WORD) * _WORD
        return arrays, place

    def pack(self, rollout: Rollout, block: Block, health: Sequence[int] = ()) -> Block:
        """Write a rollout, and what there is of the numbers of `health`, into a block; return the part it takes.

        A RedoxError where its episodes have more metrics than fit.
        """
        episodes = rollout.episodes
        names = np.frombuffer(_SEPARATOR.join(episodes.metrics).encode(), np.uint8)
        if len(episodes.metrics) > MAX_METRICS or len(names) > MAX_NAMES_BYTES:
            raise RedoxError(
                f"the environment reports {len(episodes.metrics)} metrics with names of {len(names)} bytes",
                hint=f"at most {MAX_METRICS} with {MAX_NAMES_BYTES} bytes together can be sent to the learner",
            )
        sizes = len(rollout.final_observations), len(episodes.returns), len(episodes.metrics), len(names)
        arrays, used = self._layout(*sizes)
        origin = rollout.version, rollout.actor, rollout.incarnation, rollout.sequence
        written = {
            "counts": (used, *sizes, *origin),
            "health": health or (0,) * HEALTH,
            "metrics": list(episodes.metrics.values()) or np.zeros((0, len(episodes.returns))),
            "names": names,
        }
        written |= {name: getattr(rollout, name) for name in _ROLLOUT}
        written |= {name: getattr(episodes, name) for name in _EPISODES}
        for name, kind, shape, place in arrays:
            np.ndarray(shape, kind, block, place)[...] = written[name]
        return block[:used]

    def unpack(self, block: Block) -> tuple[Rollout, list[int]]:
        """Return a rollout that owns its memory, and the numbers of `health`, empty where there are none."""
        used, *sizes, version, actor, incarnation, sequence = block[: _WORD * _COUNTS].view(_INT).tolist()
        own = block[:used].copy()
        found = {name: np.ndarray(shape, kind, own, place) for name, kind, shape, place in self._layout(*sizes)[0]}
        health = found["health"].tolist()
        metrics = dict(zip(_names(found["names"].tobytes()), found["metrics"], strict=True))
        rollout = Rollout(
            **{name: found[name] for name in _ROLLOUT},
            episodes=Episodes(metrics=metrics, **{name: found[name] for name in _EPISODES}),
            version=version,
            actor=actor,
            incarnation=incarnation,
            sequence=sequence,
        )
        return rollout, health if any(health) else []


@lru_cache(maxsize=16)
def _names(text: bytes) -> tuple[str, ...]:
    return tuple(text.decode().split(_SEPARATOR)) if text else ()
