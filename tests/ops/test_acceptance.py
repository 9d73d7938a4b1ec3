"""`make acceptance` on simulated AWS, as on an account: planned, refused and interrupted; nothing of it is left.

`make drills DRILL=acceptance` tells it to its end.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance import Account, acceptance, account
from infra.settings import ROOT
from waiting import wait_until

__all__ = ["account"]


def test_a_dry_run_lists_the_steps_with_their_cost_and_needs_no_account(tmp_path: Path) -> None:
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_CONFIG_FILE": os.devnull}
    command = [sys.executable, "-m", "ops", "acceptance", "--dry-run", "--json", "--to", str(tmp_path / "there")]
    answer = subprocess.run(command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True, check=True)
    planned = json.loads(answer.stdout)
    assert planned["usd"] == pytest.approx(sum(usd for _, _, usd in planned["plan"]))
    assert 0 < planned["usd"] < 1
    assert sum(minutes for _, minutes, _ in planned["plan"]) <= 75
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_without_a_confirmation(account: Account, tmp_path: Path) -> None:
    before = account.names()
    with acceptance(account, tmp_path) as process:
        _, log = process.communicate()
    assert process.returncode == 2, log
    assert "nothing was changed" in log
    assert "minutes   USD" in log
    assert account.names() == before


def test_an_interrupted_story_leaves_nothing(account: Account, tmp_path: Path) -> None:
    before = account.names()
    with acceptance(account, tmp_path, "--yes") as process:
        wait_until(lambda: process.poll() is not None or account.names()["running"], within_s=300)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate()
    assert process.returncode == 130, log
    assert "left: nothing" in log
    assert account.names() == before
