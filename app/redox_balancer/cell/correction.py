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
    KNOWN = "known direction"  # the enzyme's direction, cofactor or compartment is known
    BALANCE = "balance"  # follows from the conservation of elements and charge
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
    """An entry with its reason."""

    mark: Mark  # how certain it is
    reason: str = Field(min_length=1)  # why it is made
    source: str = Field(min_length=1)  # where that is known from


class Correction(Reasoned):
    """One correction, for one reason, of one or several reactions or of the charges of metabolites.

    Exactly one of the fields from `direction` on says what is changed; charges and formulas are those of metabolites,
    by BiGG name without compartment, in every compartment.
    """

    reactions: dict[str, str] = Field(default_factory=dict)  # equation, or imbalance (`charge -2`), by BiGG name
    unbalanced: bool = False  # they are changed because they do not balance
    direction: Direction | None = None  # in which the reactions may run
    closed: bool = False  # no flux at all
    capped: Positive | None = None  # largest flux in the directions that they have, mmol/gDW/h
    capped_forward: NonNegative | None = None  # largest flux in one direction, or in each, in which they then may run
    capped_backward: NonNegative | None = None
    stoichiometry: dict[str, float] = Field(default_factory=dict)  # new coefficients of metabolites, 0 to remove one
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
