"""A host is lost in each of five ways, on simulated AWS; `make drills DRILL=host`, with JSON=1 for a script."""

import os
from pathlib import Path

from host_drills import as_json, as_text, drills


def test_each_way_to_lose_a_host(tmp_path: Path) -> None:
    losses = drills(tmp_path, ("notice", "vanished", "unhealthy", "slow bucket", "bad image"), lambda _: None)
    print(as_json(losses) if os.environ.get("REDOX_JSON") else f"\n{as_text(losses)}")  # noqa: T201
    assert [each.back_s is None for each in losses] == [False, False, False, False, True]
    assert losses[0].steps == 0  # it saved on the notice
