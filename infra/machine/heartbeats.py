"""Heartbeats of the trainers on this host. Only the standard library."""

import json
from pathlib import Path

from infra.machine.contract import HEARTBEAT, at_work


def training(experiments: Path, now: float, run: str = "*") -> bool:
    """Whether the trainer of a run, by default of any, is alive."""
    for path in experiments.glob(f"{run}/{HEARTBEAT}"):
        try:
            written = json.loads(path.read_text())
            if at_work(str(written["status"]), float(written["written_at"]), now):
                return True
        except (OSError, ValueError, TypeError, KeyError):
            continue  # being replaced, or written by another version; the next round is soon
    return False
