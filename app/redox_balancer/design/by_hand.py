"""A construct that somebody writes down, instead of one that a policy or a search builds from the levels it knows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from redox_balancer.design.construct import Construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

_PART = re.compile(r"(?P<placement>[^\s=]+)\s*[=\s]\s*(?P<amount>[^\s=%]+)\s*(?P<percent>%?)")
WRITE = "write it as the tables do: 'LBNOX_c 0.1 % + AOX_m 0.03 %', or as shares: 'LBNOX_c=0.001,AOX_m=0.0003'"


def parse_construct(text: str) -> dict[str, float]:
    """Read shares of the proteome by placement from a text such as `LBNOX_c 0.1 % + AOX_m 0.03 %`.

    `nothing` is the construct without placements. A number without a percent sign is a share: 0.1 % is 0.001.

    Raises
    ------
    RedoxError
        The text says something else, a share is not between 0 and 1, or a placement stands twice.
    """
    if text.strip() == "nothing":
        return {}
    shares: dict[str, float] = {}
    for part in re.split(r"[+,;]", text):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise RedoxError(f"cannot read {part.strip()!r} in the construct {text!r}", hint=WRITE)
        try:
            share = float(found["amount"]) / (100.0 if found["percent"] else 1.0)
        except ValueError:
            share = math.nan
        if not 0 < share < 1:
            raise RedoxError(f"{part.strip()!r} is no share of the proteome between 0 and 1", hint=WRITE)
        if found["placement"] in shares:
            raise RedoxError(f"{found['placement']} stands twice in {text!r}", hint="add the two shares up")
        shares[found["placement"]] = share
    return shares


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
    positions = {placement.id: position for position, placement in enumerate(space.placements)}
    for name in shares:
        if name not in positions:
            raise RedoxError(f"unknown placement {name!r}", hint=f"known: {', '.join(positions)}")
    if sum(shares.values()) >= space.settings.phi_max:
        raise RedoxError(
            f"{100 * sum(shares.values()):g} % of the proteome leaves none to grow with",
            hint=f"growth stops at {100 * space.settings.phi_max:g} %; {WRITE}",
        )
    levels = tuple(sorted(set(shares.values()))) or space.levels
    scaled = tuple(
        replace(placement, caps=tuple(placement.caps[0] * level / space.levels[0] for level in levels))
        for placement in space.placements
    )
    construct = Construct.empty(len(scaled))
    for name, share in shares.items():
        construct = construct.place(positions[name], levels.index(share))
    return replace(space, placements=scaled, levels=levels), construct
