"""`make acceptance` told to its end on simulated AWS, as on an account; `make drills DRILL=acceptance`."""

import json
import threading
from pathlib import Path
from subprocess import Popen

from acceptance import Account, acceptance, account
from deployment import assembly, cdk
from ops.demo.stand_in import skip_an_hour
from waiting import wait_until

__all__ = ["account", "assembly", "cdk"]

SHOWN = "$ python -m ops queue\n"  # while a run trains, and when the queue is worked off


def test_the_story_is_told_to_its_end_and_leaves_nothing(account: Account, tmp_path: Path) -> None:
    before, log = account.names(), tmp_path / "commands.log"
    with acceptance(account, tmp_path, "--yes") as process:
        skipping = threading.Thread(target=skip_the_idle_time, args=(account, process, log))
        skipping.start()
        answer, said = process.communicate()
        skipping.join()
    assert process.returncode == 0, said
    results = json.loads(answer)
    lost, replaced = results["killed"], results["replaced"]
    assert replaced["host"] != lost["host"]
    assert replaced["lost_steps"] == 0  # a terminated instance saves while it shuts down
    assert results["pulled"]["demo"] > lost["step"]
    assert results["alarm"].startswith("Successfully executed action arn:aws:sns:")
    assert results["left"] == []
    assert account.names() == before
    assert "AcceptanceRedoxTraining" in log.read_text()


def skip_the_idle_time(account: Account, process: Popen[str], log: Path) -> None:
    """Skip the minutes that an account would take, once the queue is worked off."""

    def worked_off() -> bool:
        return process.poll() is not None or (log.exists() and log.read_text().count(SHOWN) == 2)

    wait_until(worked_off, within_s=1500)
    if process.poll() is None:
        (host,) = account.names()["running"]
        skip_an_hour(account.machines.host(host))
