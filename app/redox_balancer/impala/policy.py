"""The policy: one parameter vector, one forward pass and one masked distribution, for NumPy and torch alike.

Actors run the forward pass on NumPy arrays, the learner on torch tensors; it is written once against the Python array
API standard, so this module does not import torch. Shapes: N observations of D features, A actions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

Array = Any  # a NumPy array or a torch tensor: there is no common type for both
Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Stands for minus infinity in the logit of an illegal action: its probability is exactly 0, and unlike infinity
# it gives 0 and not NaN when multiplied by that probability in the entropy and in its gradient.
ILLEGAL_LOGIT = -1e30
# Its exponential changes no sum that has a 1. PyTorch's takes ten times as long where it is no normal number.
SMALLEST_EXPONENT = -80.0


SCORER_UNITS = 48
"""Units of each layer of the scorer of candidates."""
ESTIMATE_SCALE = 20.0
"""Initial weight of a candidate's estimates in its logits: the policy begins as one that follows them.

What it learns is where they mislead (residual reinforcement learning, Johannink et al. 2019, ICRA). That carries over
to candidates that it was not trained on better than a choice learnt from nothing.
"""


class Candidates(NamedTuple):
    """Sizes of the last part of an observation, which describes P candidates by F features each.

    L actions belong to each candidate. Its first L features are estimates of what they would gain, and the next one,
    between 0 and 1, says how much of it was chosen already.
    """

    number: int  # P
    features: int  # F
    levels: int  # L


@dataclass(frozen=True)
class PolicyShape:
    """Sizes of a policy (D, A, units of each hidden layer) and the place of each named array in the flat vector.

    With candidates one scorer is shared by all of them, so that the arrays do not depend on their number.
    """

    observation_size: int
    actions: int
    hidden_sizes: tuple[int, ...]
    candidates: Candidates | None = None

    @cached_property
    def layout(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each array, in their order in the vector."""
        shapes: dict[str, tuple[int, ...]] = {}
        width, outputs = self.observation_size, self.actions
        if self.candidates is not None:
            number, features, levels = self.candidates
            width, outputs = width - number * features + 3 * SCORER_UNITS, 1
            shapes["candidate/weight"] = (features, SCORER_UNITS)
            shapes["candidate/bias"] = (SCORER_UNITS,)
        for layer, units in enumerate(self.hidden_sizes):
            shapes[f"hidden_{layer}/weight"] = (width, units)
            shapes[f"hidden_{layer}/bias"] = (units,)
            width = units
        if self.candidates is not None:
            shapes["scorer/weight"] = (SCORER_UNITS, SCORER_UNITS)
            shapes["context/weight"] = (width, SCORER_UNITS)
            shapes["context/bias"] = (SCORER_UNITS,)
            shapes["query/weight"] = (width, SCORER_UNITS)
            shapes["query/bias"] = (SCORER_UNITS,)
            shapes["key/weight"] = (SCORER_UNITS, levels)
            shapes["score/weight"] = (SCORER_UNITS, levels)
            shapes["score/bias"] = (levels,)
            shapes["estimate/scale"] = (levels,)
        shapes["policy/weight"] = (width, outputs)
        shapes["policy/bias"] = (outputs,)
        shapes["value/weight"] = (width, 1)
        shapes["value/bias"] = (1,)
        return shapes

    @cached_property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(math.prod(shape) for shape in self.layout.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the sizes, ready for JSON."""
        own = {"observation_size": self.observation_size, "actions": self.actions}
        candidates = {"candidates": list(self.candidates)} if self.candidates else {}
        return {**own, "hidden_sizes": list(self.hidden_sizes), **candidates}

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> Self:
        """Return the sizes that `as_dict` gave."""
        candidates = sizes.get("candidates")
        return cls(
            sizes["observation_size"],
            sizes["actions"],
            tuple(sizes["hidden_sizes"]),
            candidates and Candidates(*candidates),
        )

    def unflatten(self, flat: Array) -> dict[str, Array]:
        """Return views of the flat vector, shape (size,), by name."""
        arrays, start = {}, 0
        for name, shape in self.layout.items():
            end = start + math.prod(shape)
            arrays[name] = flat[start:end].reshape(shape)
            start = end
        return arrays

    def initial(self, rng: np.random.Generator) -> Float32:
        """Return initial parameters: orthogonal weights, zero biases, shape (size,).

        Gains are 5/3 before a tanh, 0.01 for the logits so that the initial policy is almost uniform, and 1 for
        the value (Andrychowicz et al. 2021, "What matters for on-policy deep actor-critic methods"). Where candidates
        have estimates, the initial policy follows them.
        """
        flat = np.zeros(self.size, dtype=np.float32)
        for name, array in self.unflatten(flat).items():
            if name.endswith("weight"):
                gain = {"policy": 0.01, "score": 0.01, "key": 0.01, "value": 1.0}.get(name.split("/")[0], 5 / 3)
                array[...] = gain * _orthogonal(array.shape, rng)
            elif name.endswith("scale"):
                array[...] = ESTIMATE_SCALE
        return flat


def _orthogonal(shape: Sequence[int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a random matrix with orthonormal rows or columns, whichever are fewer."""
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    matrix: NDArray[np.float64] = q if rows >= columns else q.T
    return matrix


class PolicyOutput(NamedTuple):
    """Logits over actions, shape (N, A), and values of the observations, shape (N,)."""

    logits: Array
    values: Array


class Layers(NamedTuple):
    """Parts of a network, functions of arrays and weights; the learner has faster ones, see `layers`."""

    tanh: Callable[[Array], Array]
    encode: Callable[..., tuple[Array, Array]]
    score: Callable[..., Array]


def tanh(values: Array) -> Array:
    """Return the hyperbolic tangent of an array that is not used after it."""
    return array_namespace(values).tanh(values)


def encode(rows: Array, levels: int, weight: Array, bias: Array) -> tuple[Array, Array]:
    """Return encodings of the candidates, shape (N, P, units), and their mean, largest, and sum over those chosen."""
    xp = array_namespace(rows)
    encoded = xp.tanh(rows @ weight + bias)
    chosen = xp.sum(encoded * rows[:, :, levels : levels + 1], axis=1)
    return encoded, xp.concat([xp.mean(encoded, axis=1), xp.max(encoded, axis=1), chosen], axis=1)


def score(encoded: Array, context: Array, query: Array, *weights: Array) -> Array:
    """Return a score of each level of the candidates, shape (N, P, L)."""
    scorer, weight, bias, key = weights
    inner = array_namespace(encoded).tanh(encoded @ scorer + context[:, None, :])
    return inner @ weight + bias + (encoded * query[:, None, :]) @ key


PLAIN = Layers(tanh, encode, score)


def forward(parameters: Mapping[str, Array], observations: Array, layers: Layers = PLAIN) -> PolicyOutput:
    """Compute logits and values: hidden layers with tanh, then one linear map to each.

    With candidates the hidden layers see a summary of their encodings: mean, largest, and sum over those chosen. The
    logits of a candidate are a network of its encoding and the last hidden layer, plus the product of the two (a
    pointer, Vinyals et al. 2015, NeurIPS 28), plus its scaled estimates; that of the last action is linear.

    `parameters` are the named arrays of `PolicyShape.unflatten`, and `observations`, shape (N, D), are of the same
    library and dtype.
    """
    xp, named = array_namespace(observations), parameters

    def of(layer: str) -> tuple[Array, Array]:
        return named[f"{layer}/weight"], named[f"{layer}/bias"]

    def linear(inputs: Array, layer: str) -> Array:
        weight, bias = of(layer)
        return inputs @ weight + bias

    last, layer = observations, 0
    if scored := "candidate/weight" in named:
        (features, units), levels = named["candidate/weight"].shape, named["key/weight"].shape[1]
        width = named["hidden_0/weight" if "hidden_0/weight" in named else "policy/weight"].shape[0] - 3 * units
        rows = observations[:, width:].reshape(observations.shape[0], -1, features)
        encoded, summary = layers.encode(rows, levels, *of("candidate"))
        last = xp.concat([observations[:, :width], summary], axis=1)
    while f"hidden_{layer}/weight" in named:
        last = layers.tanh(linear(last, f"hidden_{layer}"))
        layer += 1
    logits = linear(last, "policy")
    if scored:
        context, query = linear(last, "context"), linear(last, "query")
        scores = layers.score(encoded, context, query, named["scorer/weight"], *of("score"), named["key/weight"])
        scores = scores + named["estimate/scale"] * rows[:, :, :levels]
        logits = xp.concat([scores.reshape(observations.shape[0], -1), logits], axis=1)
    values = linear(last, "value")[:, 0]
    return PolicyOutput(logits, values)


class MaskedCategorical:
    """Categorical distribution over the legal actions of each of N observations.

    `logits` and `mask`, True where an action is legal and at least once in each row, have shape (N, A).
    """

    def __init__(self, logits: Array, mask: Array) -> None:
        xp = array_namespace(logits)
        legal = xp.where(mask, logits, ILLEGAL_LOGIT)
        shifted = legal - xp.max(legal, axis=-1, keepdims=True)
        self._xp = xp
        self.log_probs = shifted - xp.log(xp.sum(xp.exp(shifted.clip(SMALLEST_EXPONENT)), axis=-1, keepdims=True))

    def log_prob(self, actions: Array) -> Array:
        """Return the log-probability of one action each, shape (N,); `actions` are int64, shape (N,)."""
        return self.log_probs[self._xp.arange(actions.shape[0]), actions]

    def entropy(self) -> Array:
        """Return the entropy over the legal actions in nats, shape (N,)."""
        return -self._xp.sum(self._xp.exp(self.log_probs) * self.log_probs, axis=-1)

    def greedy(self) -> Array:
        """Return the most probable action of each row, shape (N,)."""
        return self._xp.argmax(self.log_probs, axis=-1)

    def sample(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw one legal action each, shape (N,); NumPy only."""
        cumulative = np.exp(self.log_probs, dtype=np.float64).cumsum(axis=-1)
        total = cumulative[:, -1:]
        # The product may round up to the total; one float below it there is always a legal action.
        threshold = np.minimum(rng.random(total.shape) * total, np.nextafter(total, 0.0))
        actions: NDArray[np.int64] = (cumulative <= threshold).argmin(axis=-1)  # the first above it
        return actions


class Policy:
    """A policy with its parameters, shape (shape.size,), for acting; needs NumPy only."""

    def __init__(self, shape: PolicyShape, parameters: Float32) -> None:
        self.shape = shape
        self.parameters = parameters
        self._named = shape.unflatten(parameters)

    def distribution(self, observations: Float32, mask: Mask) -> MaskedCategorical:
        """Return the distribution over actions of each of N observations, shapes (N, D) and (N, A)."""
        return MaskedCategorical(forward(self._named, observations).logits, mask)

    def act(self, observations: Float32, mask: Mask, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Return one action for each observation: sampled with `rng`, or the most probable one without it.

        `observations` have shape (N, D) and `mask` (N, A); the actions have shape (N,).
        """
        choice = self.distribution(np.asarray(observations, dtype=np.float32), mask)
        actions: NDArray[np.int64] = choice.greedy() if rng is None else choice.sample(rng)
        return actions
