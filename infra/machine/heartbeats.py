"""Heartbeats of the trainers on this host. Only the standard library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.machine.contract import HEARTBEAT, at_work


@dataclass(frozen=True)
class HeartbeatRecord:
    """When a heartbeat was written (Unix time, s) and the status that the trainer reported."""

    written_at: float
    status: str


def read_heartbeats(experiments: Path, run: str = "*") -> list[HeartbeatRecord]:
    """Return the readable heartbeats of one run, by default of all."""
    records = []
    for path in sorted(experiments.glob(f"{run}/{HEARTBEAT}")):
        try:
            written = json.loads(path.read_text())
            records.append(HeartbeatRecord(float(written["written_at"]), str(written["status"])))
        except (OSError, ValueError, TypeError, KeyError):
            continue  # being replaced, or written by another version; the next round is soon
    return records


def training(records: Sequence[HeartbeatRecord], now: float) -> bool:
    """Whether any trainer is running."""
    return any(at_work(record.status, record.written_at, now) for record in records)
