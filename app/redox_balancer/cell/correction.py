"""The entries of a curation file: one correction or addition each, for one reason, with its source."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, Field, model_validator

from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Column
from redox_balancer.cell.records import NonNegative, Positive, Record


class Mark(StrEnum):
    """How certain a change is."""

    MEASURED = "measured"
    KNOWN = "known direction"
    """The enzyme's direction, cofactor or compartment is known."""
    BALANCE = "balance"
    """Follows from the conservation of elements and charge."""
    ASSUMED = "assumed"


class Direction(StrEnum):
    """Direction in which a reaction may run, of its equation as published."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"

    def of(self, lower: float, upper: float) -> tuple[float, float]:
        """Bounds of a reaction in this direction; one that had none of it is unlimited there, mmol/gDW/h."""
        most_back, most = (lower if lower < 0 else -OPEN), (upper if upper > 0 else OPEN)
        return (0.0 if self is Direction.FORWARD else most_back), (0.0 if self is Direction.BACKWARD else most)


class Reasoned(Record):
    """An entry with its reason.

    Attributes
    ----------
    mark, reason, source
        How certain it is, why it is made, and where that is known from.
    """

    mark: Mark
    reason: str = Field(min_length=1)
    source: str = Field(min_length=1)


class Correction(Reasoned):
    """One correction, for one reason, of one or several reactions or of the charges of metabolites.

    Attributes
    ----------
    reactions
        BiGG name of each reaction, with its equation as published or, if `unbalanced`, its imbalance (`charge -2`).
    unbalanced
        Whether the reactions are changed because they do not balance.
    direction, closed, capped, capped_forward, capped_backward, stoichiometry, charges, formulas
        What is changed, exactly one of these: the direction in which the reactions may run; no flux at all; the
        largest flux in the directions that they have, mmol/gDW/h; the largest flux in one direction, or in each, in
        which they then may run if they could not; new coefficients of metabolites, 0 to remove one; the charge or
        the formula of metabolites (BiGG names without compartment) in every compartment.
    """

    reactions: dict[str, str] = Field(default_factory=dict)
    unbalanced: bool = False
    direction: Direction | None = None
    closed: bool = False
    capped: Positive | None = None
    capped_forward: NonNegative | None = None
    capped_backward: NonNegative | None = None
    stoichiometry: dict[str, float] = Field(default_factory=dict)
    charges: dict[str, int] = Field(default_factory=dict)
    formulas: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_change(self) -> Self:
        caps = self.capped_forward is not None or self.capped_backward is not None
        changed = (self.direction, self.closed, self.capped, caps, self.stoichiometry, self.charges, self.formulas)
        if sum(map(bool, changed)) != 1:
            raise ValueError(
                "needs exactly one of direction, closed, capped, capped_forward or capped_backward, stoichiometry, "
                "charges, formulas"
            )
        if bool(self.reactions) == bool(self.charges or self.formulas):
            raise ValueError("needs reactions, unless it changes charges or formulas")
        return self

    def __str__(self) -> str:
        if self.direction:
            return "both directions" if self.direction is Direction.BOTH else f"{self.direction} only"
        caps = ((self.capped, ""), (self.capped_forward, " forward"), (self.capped_backward, " backward"))
        if given := [f"{cap:g}{how}" for cap, how in caps if cap is not None]:
            return f"at most {' and '.join(given)}"
        return "closed" if self.closed else "stoichiometry mended"

    def bounds(self, lower: float, upper: float) -> tuple[float, float]:
        """Bounds of a reaction after this correction, mmol/gDW/h."""
        if self.closed:
            return 0.0, 0.0
        if self.direction:
            return self.direction.of(lower, upper)
        if self.capped:
            return max(lower, -self.capped), min(upper, self.capped)
        lower = lower if self.capped_backward is None else -self.capped_backward
        return lower, upper if self.capped_forward is None else self.capped_forward


class Substance(BaseModel, extra="forbid", frozen=True):
    """Sum formula and charge of a metabolite that a model lacks, the same in every compartment."""

    formula: str
    charge: int


class Addition(Reasoned):
    """A reaction that a model lacks; `id` is its BiGG name. `-->` runs forward and `<=>` both ways, without limit."""

    equation: str

    @property
    def column(self) -> Column:
        """The reaction, with bounds in mmol/gDW/h."""
        return Column(self.id, parse_equation(self.equation), -OPEN if "<=>" in self.equation else 0.0, OPEN)
