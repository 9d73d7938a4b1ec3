"""The ledger of host time: how long hosts ran in each month, which is what they cost. Only the standard library.

It lies on the data volume, so that it outlives its host. It fails closed: time that cannot be written counts in
memory, from the boot of the host, and goes against the budget all the same. A host is not stopped for the ledger
alone: that would end a training for a full disk, and what a host can spend unrecorded is limited by the budget itself
and by AWS's own budget action.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from infra.machine.contract import WatchState

Months = dict[str, float]


@dataclass
class SpendingLedger:
    """Seconds of host time by month."""

    path: Path  # on the data volume
    state: WatchState  # holds what the file does not, for a restart of the watch
    alarm: str = ""  # why the file cannot be trusted

    def add(self, seconds: float, month: str, *, mounted: bool = True) -> float:
        """Add seconds of host time to a month, like 2026-11, and return its total, recorded or not.

        `mounted` says whether the data volume is there.
        """
        state = self.state
        state.unsaved[month] = state.unsaved.get(month, 0.0) + seconds
        try:
            if not mounted:
                raise OSError("the data volume is not mounted")  # noqa: TRY301 - as bad as a failed write
            state.saved = self._read()
            self._write(_sum(state.saved, state.unsaved))
        except OSError as error:
            self.alarm = f"the ledger {self.path} cannot be kept, host time counts in memory: {error}"
        else:
            state.saved, state.unsaved = _sum(state.saved, state.unsaved), {}
            self.alarm = f"{self._aside} was set aside: earlier spending is unknown" if self._aside.exists() else ""
        return _sum(state.saved, state.unsaved)[month]

    @property
    def _aside(self) -> Path:
        """Where a damaged ledger goes; the alarm lasts until a person has removed it."""
        return self.path.with_suffix(".damaged")

    def _read(self) -> Months:
        """Return the months of the file; what was known of them where it is missing or damaged."""
        try:
            months = json.loads(self.path.read_text())
            if all(math.isfinite(seconds) and seconds >= 0 for seconds in months.values()):
                return dict(months)
        except FileNotFoundError:
            return self.state.saved
        except (ValueError, TypeError, AttributeError):
            pass
        self.path.replace(self._aside)
        return self.state.saved

    def _write(self, months: Months) -> None:
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(months))
        temporary.replace(self.path)


def _sum(one: Months, other: Months) -> Months:
    return {month: one.get(month, 0.0) + other.get(month, 0.0) for month in one | other}
