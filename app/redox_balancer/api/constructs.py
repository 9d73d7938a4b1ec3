"""A construct by the names of its placements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from redox_balancer.design.by_hand import construct_text, parse_construct, read_shares
from redox_balancer.design.construct import Construct
from redox_balancer.design.space import DesignSpace

ConstructLike = str | Mapping[str, float] | Iterable[tuple[str, float]]
"""What can be read as a construct: a text, or proteome fractions by placement."""


class NamedConstruct(Mapping[str, float]):
    """A construct: proteome fractions by placement.

    Parameters
    ----------
    placements
        A text such as `"LBNOX_c 0.1 % + AOX_m 0.03 %"`, a mapping, or pairs of placement and proteome fraction. A
        placement is an enzyme of the library and a compartment; a fraction lies between 0 and 1. Nothing at all is
        the empty construct.

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
        self._shares = parse_construct(placements) if isinstance(placements, str) else read_shares(placements)

    @classmethod
    def of(cls, space: DesignSpace, construct: Construct) -> NamedConstruct:
        """Name the placements of a construct of a design space."""
        return cls([(space.placements[position].id, space.levels[level]) for position, level in construct])

    def __getitem__(self, placement: str) -> float:
        return self._shares[placement]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shares)

    def __len__(self) -> int:
        return len(self._shares)

    def __hash__(self) -> int:
        return hash(frozenset(self._shares.items()))

    def __str__(self) -> str:
        return construct_text(self._shares)

    def __repr__(self) -> str:
        return f"NamedConstruct({str(self)!r})"
