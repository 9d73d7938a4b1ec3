"""What the page shows, as data: cell line, condition, moved bounds and enzymes; its URL, and undo."""

from collections.abc import Callable
from time import monotonic
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlencode

from pydantic import ConfigDict, Field

from redox_balancer.cell.conditions import HEALTHY
from redox_balancer.errors import RedoxError
from redox_balancer.settings import SettingsModel

ENTRIES = 200
"""Bounds and enzymes of a state at most, and steps that can be undone."""
SAME_MOVE_S = 1.0
"""Changes of one slider that follow each other within this time, s, are undone together."""
_LINK_HINT = "copy the whole link again, or start from the page without a link"

_TEXTS = "model", "model_name", "cell", "condition"
Name = Annotated[str, Field(max_length=300)]
Amount = Annotated[float, Field(ge=0)]
Amounts = Annotated[dict[Name, Amount], Field(max_length=ENTRIES)]


class ExploreState(SettingsModel):
    """A state of the page.

    Attributes
    ----------
    model
        Checksum of model and medium that the state is of, see `ExploredCell.checksum`; none for any.
    model_name
        Name of the model on the page, none for the one that it was started with; never that of a file elsewhere.
    cell, condition
        Cell line, none for the cell on its medium, and id of the condition, `a+b` for two at once.
    bounds
        Bounds that were moved, mmol/gDW/h, by reaction and side: `EX_o2_e uptake`.
    enzymes
        Proteome fractions by placement: the construct.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    model: Name = ""
    model_name: Name = ""
    cell: Name = ""
    condition: Name = HEALTHY
    bounds: Amounts = Field(default_factory=dict)
    enzymes: Amounts = Field(default_factory=dict)

    def query(self) -> str:
        """The state as the query of a URL; numbers to the last digit."""
        pairs = [(name, text) for name in _TEXTS if (text := getattr(self, name))]
        pairs += [("bound", f"{key} {value!r}") for key, value in self.bounds.items()]
        pairs += [("enzyme", f"{key} {value!r}") for key, value in self.enzymes.items()]
        return urlencode(pairs)

    @classmethod
    def of_query(cls, query: str) -> Self:
        """Read the query of a URL; a RedoxError where it is no state."""
        try:
            pairs = parse_qsl(query, strict_parsing=True, max_num_fields=2 * ENTRIES) if query else []
            amounts = [(name, *text.rpartition(" ")[::2]) for name, text in pairs if name in ("bound", "enzyme")]
            texts = {name: text for name, text in pairs if name not in ("bound", "enzyme")}
            bounds, enzymes = (
                {key: float(number) for name, key, number in amounts if name == kind} for kind in ("bound", "enzyme")
            )
            state = cls(**texts, bounds=bounds, enzymes=enzymes)
        except (ValueError, TypeError, RedoxError) as error:
            raise RedoxError(f"this link is no state of the page: {error}", hint=_LINK_HINT) from None
        if len(bounds) + len(enzymes) + len(texts) < len(pairs):
            raise RedoxError("this link is no state of the page: something occurs twice", hint=_LINK_HINT)
        return state

    def with_bound(self, key: str, value: float | None) -> Self:
        """The state with one bound moved; None puts it back."""
        rest = {name: bound for name, bound in self.bounds.items() if name != key}
        return self.changed(bounds=rest if value is None else rest | {key: value})

    def with_enzyme(self, placement: str, fraction: float | None) -> Self:
        """The state with an enzyme put in, or at another level; None takes it out."""
        rest = {name: level for name, level in self.enzymes.items() if name != placement}
        if fraction is None:
            return self.changed(enzymes=rest)
        return self.changed(enzymes=self.enzymes | {placement: fraction})


class History:
    """States that can be undone and done again; `now` is the clock, s."""

    def __init__(self, state: ExploreState, now: Callable[[], float] = monotonic) -> None:
        self._states, self._at, self._now = [state], 0, now
        self._move, self._moved_at = "", 0.0

    @property
    def state(self) -> ExploreState:
        """The present state."""
        return self._states[self._at]

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier state."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether a state was undone."""
        return self._at + 1 < len(self._states)

    def add(self, state: ExploreState, move: str = "") -> None:
        """Go to a new state; what was undone is dropped. The steps of one `move`, such as a slider's, are one."""
        now = self._now()
        goes_on = move and move == self._move and now - self._moved_at < SAME_MOVE_S and self.can_undo
        keep = self._states[: self._at + (0 if goes_on else 1)]
        self._states = [*keep, state][-ENTRIES:]
        self._at, self._move, self._moved_at = len(self._states) - 1, move, now

    def step(self, by: int) -> ExploreState:
        """Undo (-1) or do again (1), as far as that is possible."""
        self._at, self._move = min(max(0, self._at + by), len(self._states) - 1), ""
        return self.state
