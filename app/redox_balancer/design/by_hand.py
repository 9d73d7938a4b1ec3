"""A construct that somebody writes down, instead of one that a policy or a search builds from the levels it knows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from redox_balancer.design.construct import Construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

_PART = re.compile(r"(?P<placement>[^\s=]+)\s*[=\s]\s*(?P<amount>[^\s=%]+)\s*(?P<percent>%?)")
NOTHING = "nothing"
"""Text of the construct without placements."""
WRITE = "write it as the tables do: 'LBNOX_c 0.1 % + AOX_m 0.03 %', or as shares: 'LBNOX_c=0.001,AOX_m=0.0003'"


def parse_construct(text: str) -> dict[str, float]:
    """Read shares of the proteome by placement from a text such as `LBNOX_c 0.1 % + AOX_m 0.03 %`.

    `nothing` is the construct without placements. A number without a percent sign is a share: 0.1 % is 0.001.

    Raises
    ------
    RedoxError
        The text says something else, a share is not between 0 and 1, or a placement stands twice.
    """
    if text.strip() == NOTHING:
        return {}
    pairs = []
    for part in re.split(r"[+,;]", text):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise RedoxError(f"cannot read {part.strip()!r} in the construct {text!r}", hint=WRITE)
        try:
            share = float(found["amount"]) / (100.0 if found["percent"] else 1.0)
        except ValueError:
            share = math.nan
        pairs.append((found["placement"], share))
    return read_shares(pairs)


def read_shares(pairs: Mapping[str, float] | Iterable[tuple[str, float]]) -> dict[str, float]:
    """Shares of the proteome by placement, checked.

    Raises
    ------
    RedoxError
        A share is not between 0 and 1, or a placement occurs twice.
    """
    shares: dict[str, float] = {}
    for placement, share in pairs.items() if isinstance(pairs, Mapping) else pairs:
        if not 0 < share < 1:
            raise RedoxError(f"{placement}: {share:g} is no share of the proteome between 0 and 1", hint=WRITE)
        if placement in shares:
            raise RedoxError(f"{placement} occurs twice in a construct", hint="add the two shares up")
        shares[placement] = float(share)
    return shares


def construct_text(shares: Mapping[str, float]) -> str:
    """Text that `parse_construct` reads, `LBNOX_c 0.1 % + AOX_m 0.03 %`."""
    return " + ".join(f"{placement} {100 * share:g} %" for placement, share in shares.items()) or NOTHING


def by_hand(space: DesignSpace, shares: Mapping[str, float]) -> tuple[DesignSpace, Construct]:
    """Construct of these shares, and the design space whose levels they are.

    Parameters
    ----------
    space
        The cell and what can be placed in it. A share of the proteome need not be one of its levels, nor the
        construct within its budget: the flux an enzyme can carry is proportional to its share.
    shares
        Share of the proteome by placement.

    Raises
    ------
    RedoxError
        A placement is not in the library, or all of them together leave no protein to grow with.
    """
    own, (construct,) = all_by_hand(space, [shares])
    return own, construct


def all_by_hand(
    space: DesignSpace, constructs: Sequence[Mapping[str, float]]
) -> tuple[DesignSpace, tuple[Construct, ...]]:
    """Several constructs, and one design space whose levels are all their shares, as in `by_hand`."""
    positions = {placement.id: position for position, placement in enumerate(space.placements)}
    for shares in constructs:
        for name in shares:
            if name not in positions:
                raise RedoxError(f"unknown placement {name!r}", hint=f"known: {', '.join(positions)}")
        if sum(shares.values()) >= space.settings.phi_max:
            raise RedoxError(
                f"{100 * sum(shares.values()):g} % of the proteome leaves none to grow with",
                hint=f"growth stops at {100 * space.settings.phi_max:g} %; {WRITE}",
            )
    levels = tuple(sorted({share for shares in constructs for share in shares.values()})) or space.levels
    scaled = tuple(
        replace(placement, caps=tuple(placement.caps[0] * level / space.levels[0] for level in levels))
        for placement in space.placements
    )
    empty = Construct.empty(len(scaled))
    built = []
    for shares in constructs:
        construct = empty
        for name, share in shares.items():
            construct = construct.place(positions[name], levels.index(share))
        built.append(construct)
    return replace(space, placements=scaled, levels=levels), tuple(built)
