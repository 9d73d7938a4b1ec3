"""Constructs as people write them: placements by name with their proteome fractions."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

from redox_balancer.design.construct import Construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

ConstructLike = str | Mapping[str, float] | Iterable[tuple[str, float]]
"""What `NamedConstruct` reads: a text, or proteome fractions by placement."""

NOTHING = "nothing"  # text of the empty construct

NOTATION = "write it as 'LBNOX_c 0.1 % + AOX_m 0.03 %', or with proteome fractions: 'LBNOX_c=0.001,AOX_m=0.0003'"

_TERM = re.compile(r"(?P<placement>[^\s=]+)\s*[=\s]\s*(?P<amount>[^\s=%]+)\s*(?P<percent>%?)")


def _parsed(text: str) -> Iterator[tuple[str, float, str]]:
    """Placement, proteome fraction and text of each term; a number without a percent sign is a proteome fraction."""
    for part in re.split(r"[+,;]", text) if text.strip() != NOTHING else ():
        found = _TERM.fullmatch(part.strip())
        if found is None:
            raise RedoxError(f"cannot read {part.strip()!r} in the construct {text!r}", hint=NOTATION)
        try:
            fraction = float(found["amount"]) / (100.0 if found["percent"] else 1.0)
        except ValueError:
            fraction = math.nan
        yield found["placement"], fraction, repr(part.strip())


def _terms(placements: ConstructLike) -> Iterable[tuple[str, float, str]]:
    """Placement, number and text of each term of any form of a construct."""
    if isinstance(placements, str):
        return _parsed(placements)
    try:
        pairs = placements.items() if isinstance(placements, Mapping) else placements
        return [(placement, float(fraction), f"{placement}: {float(fraction):g}") for placement, fraction in pairs]
    except (TypeError, ValueError):
        raise RedoxError(f"cannot read {placements!r} as a construct", hint=NOTATION) from None


class NamedConstruct(Mapping[str, float]):
    """A construct: proteome fractions by placement.

    Parameters
    ----------
    placements
        A text such as `"LBNOX_c 0.1 % + AOX_m 0.03 %"`, a mapping, or pairs of placement and proteome fraction. A
        placement is named after its enzyme and its compartment. Without any placement it is the empty construct.

    Raises
    ------
    RedoxError
        The text cannot be read, a fraction is not between 0 and 1, or a placement occurs twice.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> construct = rb.NamedConstruct({"LBNOX_c": 0.001, "AOX_m": 0.0003})
    >>> print(construct)
    LBNOX_c 0.1 % + AOX_m 0.03 %
    >>> construct == rb.NamedConstruct("LBNOX_c 0.1 % + AOX_m 0.03 %")
    True
    >>> construct["LBNOX_c"]
    0.001
    """

    def __init__(self, placements: ConstructLike = ()) -> None:
        self._fractions: dict[str, float] = {}
        for placement, fraction, text in _terms(placements):
            if not 0 < fraction < 1:
                raise RedoxError(f"{text} is not a proteome fraction between 0 and 1", hint=NOTATION)
            if placement in self._fractions:
                raise RedoxError(f"{placement} occurs twice in a construct", hint="add up the two fractions")
            self._fractions[placement] = fraction

    @classmethod
    def of(cls, space: DesignSpace, construct: Construct) -> Self:
        """Name the placements of a construct of a design space."""
        return cls([(space.placements[position].id, space.levels[level]) for position, level in construct])

    def __getitem__(self, placement: str) -> float:
        return self._fractions[placement]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fractions)

    def __len__(self) -> int:
        return len(self._fractions)

    def __hash__(self) -> int:
        return hash(frozenset(self._fractions.items()))

    def __str__(self) -> str:
        return " + ".join(f"{name} {100 * fraction:g} %" for name, fraction in self._fractions.items()) or NOTHING

    def __repr__(self) -> str:
        return f"NamedConstruct({str(self)!r})"


def build_construct(space: DesignSpace, named: Mapping[str, float]) -> tuple[DesignSpace, Construct]:
    """A named construct with the design space whose levels are its fractions; see `build_constructs`."""
    own, (construct,) = build_constructs(space, [named])
    return own, construct


def build_constructs(
    space: DesignSpace, named: Sequence[Mapping[str, float]]
) -> tuple[DesignSpace, tuple[Construct, ...]]:
    """Named constructs as constructs of one design space whose levels are all their fractions.

    `named` are proteome fractions by placement. They need not be among the levels of `space`, nor the constructs
    within its budgets: the capacity of an enzyme is proportional to its fraction. A RedoxError if a placement is not
    in the design space, or a construct leaves no protein to grow with.
    """
    positions = {placement.id: position for position, placement in enumerate(space.placements)}
    for fractions in named:
        for name in fractions:
            if name not in positions:
                raise RedoxError(f"unknown placement {name!r}", hint=f"known: {', '.join(positions)}")
        total = sum(fractions.values())
        if total >= space.settings.phi_max:
            raise RedoxError(
                f"a construct of {100 * total:g} % of the proteome leaves no protein to grow with",
                hint=f"growth stops at {100 * space.settings.phi_max:g} %; {NOTATION}",
            )
    levels = tuple(sorted({fraction for fractions in named for fraction in fractions.values()})) or space.levels
    scaled = tuple(
        replace(placement, caps=tuple(placement.caps[0] * level / space.levels[0] for level in levels))
        for placement in space.placements
    )
    built = []
    for fractions in named:
        construct = Construct.empty(len(scaled))
        for name, fraction in fractions.items():
            construct = construct.place(positions[name], levels.index(fraction))
        built.append(construct)
    return replace(space, placements=scaled, levels=levels), tuple(built)
