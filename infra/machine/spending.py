"""The ledger of host time: how long hosts ran in each month, which is what they cost. Only the standard library.

It lies in the bucket, so that it outlives every host. It fails closed: time that cannot be written counts in memory,
from the boot of the host, and goes against the budget all the same. A host is not stopped for the ledger alone: that
would end a training for a bucket out of reach, and what a host can spend unrecorded is limited by the budget itself
and by AWS's own budget.
"""

import json
import math
from dataclasses import dataclass
from typing import Protocol

from infra.machine.aws import Found
from infra.machine.contract import LEDGER, WatchState

Months = dict[str, float]
DAMAGED = f"{LEDGER}.damaged"


class Store(Protocol):
    """The bucket."""

    def get(self, key: str) -> Found | None:
        """Return an object, None if there is none."""

    def put(self, key: str, content: bytes, *, replaces: Found | None) -> None:
        """Write an object unless another version is there than the one that was found."""


@dataclass
class SpendingLedger:
    """Seconds of host time by month."""

    store: Store
    state: WatchState  # holds what the ledger does not, for a restart of the watch
    alarm: str = ""  # why the ledger cannot be trusted

    def add(self, seconds: float, month: str) -> float:
        """Add seconds of host time to a month, like 2026-11, and return its total, recorded or not."""
        state = self.state
        state.unsaved[month] = state.unsaved.get(month, 0.0) + seconds
        try:
            found = self.store.get(LEDGER)
            state.saved = self._read(found)
            content = json.dumps(state.months).encode()
            self.store.put(LEDGER, content, replaces=found)  # a host that ends and its replacement may both count
        except OSError as error:
            self.alarm = f"the ledger {LEDGER} cannot be kept, host time counts in memory: {error}"
        else:
            state.saved, state.unsaved = state.months, {}
            self.alarm = f"{DAMAGED} was set aside: earlier spending is unknown" if state.damaged else ""
        return state.months[month]

    def _read(self, found: Found | None) -> Months:
        """Return the months of the ledger; what was known of them where it is missing or damaged."""
        if found is None:
            return self.state.saved
        try:
            months = json.loads(found.content)
            if all(math.isfinite(seconds) and seconds >= 0 for seconds in months.values()):
                return dict(months)
        except (ValueError, TypeError, AttributeError):
            pass
        self.store.put(DAMAGED, found.content, replaces=self.store.get(DAMAGED))
        self.state.damaged = True
        return self.state.saved
