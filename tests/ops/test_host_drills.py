"""The short drills of a host: a spot interruption notice, and an instance that vanishes."""

import json
from pathlib import Path

import pytest

from host_drills import as_json, as_text, drills
from ops.simulator.host import require
from redox_balancer.errors import RedoxError


def test_a_host_that_is_announced_to_go_loses_nothing_and_one_that_vanishes_an_interval(
    cdk: Path, tmp_path: Path
) -> None:
    assert cdk.exists()
    try:
        require()
    except RedoxError as error:
        pytest.skip(f"{error.message} ({error.hint})")
    notice, vanished = losses = drills(tmp_path, ("notice", "vanished"), lambda _: None)
    assert notice.steps == 0
    assert notice.back_s is not None
    assert vanished.back_s is not None
    assert notice.added_s < vanished.added_s  # nobody waits for a lock that was released
    assert 0 < vanished.idle_usd < 12.7
    assert [each["drill"] for each in json.loads(as_json(losses))] == ["notice", "vanished"]
    assert "boot, assumed 240" in as_text(losses)
