"""Contract between the host and the tools that operate it: paths, unit names, run states, heartbeats, idle time.

The host's own programs, the infrastructure and the operations read these definitions. Only the standard library: the
module is shipped to the host and runs under its Python.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

TRAINER, WATCH = "redox-trainer", "redox-watch"  # systemd units; the first is a container, too
UNIT_ACTIVE = frozenset({"active", "activating", "reloading", "deactivating"})  # systemd's ActiveState

ETC = Path("/etc/redox")
# In /run, which a reboot clears and no image contains: a host made from an image starts no run of that time.
READY = Path("/run/redox-ready")  # the bring-up has ended: runs may start
RUN_ENV = Path("/run/redox-run.env")  # of the run that was started last
ENVIRONMENT_FILES = (ETC / "machine.env", ETC / "training.env", RUN_ENV)  # later files override earlier ones
HOST_SETTINGS = ETC / "settings.json"
KEEP_AWAKE = Path("/run/redox-awake")  # touching it restarts the idle time
WATCH_STATE = Path("/run/redox-watch.json")  # /run is cleared by a reboot and outlives a restart of the watch
LOG = "/var/log/redox.log"

MACHINE, STATE = "machine", "state"  # in the bucket: what sets machines up, and what hosts leave to each other
LEDGER = f"{STATE}/host-seconds.json"  # seconds of host time by month
QUEUE = f"{STATE}/queue.json"  # the active run, which a host goes on with, and the jobs behind it
OUTCOME = f"{STATE}/bring-up.json"  # of the last bring-up
HEAD = f"{STATE}/head"  # address of the host, for its workers

HEARTBEAT = "heartbeat.json"  # in the folder of a run

ENDED = frozenset({"stopped", "finished", "failed"})  # run states, as the trainer reports them
FRESH_S = 60.0  # twelve heartbeats of the trainer
UPDATE_S = 900.0  # without a policy update a run counts as stuck; a hung actor is replaced after 300 s
# For a person who is about to mend a run that failed and to queue it again. If that takes longer, another host, which
# is set up in minutes, costs less than one that waits.
FAILED_IDLE_S = 600.0


def at_work(status: str, written_at: float, now: float) -> bool:
    """Whether a heartbeat belongs to a live trainer; both times are Unix times of the host's clock, in seconds.

    A heartbeat from the future (the clock was set back) is as stale as an old one: a live trainer soon replaces it.
    """
    return status not in ENDED and abs(now - written_at) <= FRESH_S


def idle_since(
    previous_s: float | None, *, uptime_s: float, training: bool, awake_s: float | None = None
) -> float | None:
    """Return the uptime at which the host became idle, in seconds; None while it trains.

    Uptime and not Unix time, so that a clock that jumps stops no host. `previous_s` is the recorded value, `uptime_s`
    the uptime now, and `awake_s` the seconds since KEEP_AWAKE was touched, None if it was not.
    """
    if training:
        return None
    since_s = uptime_s if previous_s is None or previous_s > uptime_s else previous_s
    return since_s if awake_s is None else max(since_s, uptime_s - awake_s)


def idle_limit_s(idle_s: float, *, failed: bool) -> float:
    """Return the seconds without a training after which a host ends; 0 for never.

    `idle_s` is that of the settings, `failed` is as in `WatchState`.
    """
    return min(idle_s, FAILED_IDLE_S) if failed else idle_s


@dataclass
class WatchState:
    """State of the host's watch, recorded at each of its rounds."""

    idle_since_s: float | None = None  # uptime at which the host became idle; None while it trains
    failed: bool = False  # whether the queue was worked off and its last job set aside: nobody needs this host
    counted_s: float = 0.0  # uptime up to which the ledger has counted
    saved: dict[str, float] = field(default_factory=dict)  # s of host time by month, as the ledger was last known
    unsaved: dict[str, float] = field(default_factory=dict)  # those that it does not hold yet
    damaged: bool = False  # whether a damaged ledger was set aside
    alarms: list[str] = field(default_factory=list)  # problems of the watch itself, one line each

    @property
    def months(self) -> dict[str, float]:
        """Seconds of host time by month, whether or not the ledger holds them."""
        saved, unsaved = self.saved, self.unsaved
        return {month: saved.get(month, 0.0) + unsaved.get(month, 0.0) for month in saved | unsaved}

    @classmethod
    def read(cls, path: Path = WATCH_STATE) -> Self | None:
        """Return the recorded state, None where there is none."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path = WATCH_STATE) -> None:
        """Replace the recorded state."""
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(path)
