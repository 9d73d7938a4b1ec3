"""The training on a restored host: the right run, at work, and the step at which it went on."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from redox_balancer.cli.tables import notes
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from infra.settings import Settings
    from ops.host import Host

TRAINING_ENV, RUN_ENV = "/etc/redox/training.env", "/etc/redox/run.env"
UNIT = "redox-trainer"
ONLINE_TIMEOUT_S, WORK_TIMEOUT_S = 600.0, 900.0  # the trainer may fetch its checkpoint first
LOOK_S = 2.0
FRESH_S = 15.0  # a trainer writes its heartbeat every few seconds
AT_WORK = ("training", "saving", "finished")


def resume(settings: Settings, run: str) -> int:
    """Have the host's unit train a run, and return the step at which it is once it is at work.

    An image may be older than the run, and know another one; what that needs of options the run's owner gives it by
    `train-remote`. The trainer itself takes the newest whole checkpoint of volume and bucket.
    """
    from ops.session import Session  # noqa: PLC0415 - the host is another one than that of the caller's session

    with Session(settings) as session, notes().status("waiting for the host"):
        _wait_until_online(session)
        host = session.on_host()
        if _set_run(host, run):
            host.run(f"sudo -n systemctl restart {UNIT}", timeout_s=settings.limits.stop_timeout_s + 60.0)
        else:
            host.run(f"sudo -n systemctl start {UNIT}")
        return _wait_until_at_work(host, f"{settings.container.experiments}/{run}/heartbeat.json", run)


def _wait_until_online(session: Any) -> None:
    from ops import instance  # noqa: PLC0415 - loads what only this needs

    deadline = time.monotonic() + ONLINE_TIMEOUT_S
    while time.monotonic() < deadline and not instance.online(session):
        time.sleep(LOOK_S)
    instance.require_online(session)


def run_of(environment: str) -> str | None:
    """Return the run that files of variables name; the last one counts, as it does to systemd."""
    found: list[str] = re.findall(r"^REDOX_RUN=[\"']?([^\"'\n]+)", environment, flags=re.MULTILINE)
    return found[-1] if found else None


def _set_run(host: Host, run: str) -> bool:
    """Tell the unit which run it is about; False where it knows."""
    said = host.run(f"sudo -n cat {TRAINING_ENV}; sudo -n cat {RUN_ENV} 2>/dev/null || true", reads=True)
    if run_of(said) == run:
        return False
    images = re.findall(r"^REDOX_IMAGE=.*$", said, flags=re.MULTILINE)
    host.put({RUN_ENV: "\n".join([f'REDOX_RUN="{run}"', *images[-1:], ""])})
    return True


def _wait_until_at_work(host: Host, heartbeat: str, run: str) -> int:
    deadline = time.monotonic() + WORK_TIMEOUT_S
    while time.monotonic() < deadline:
        # One answer with the host's own clock: ours may differ.
        said = host.run(f"date +%s; sudo -n cat {heartbeat} 2>/dev/null || echo null", reads=True)
        clock, _, written = said.partition("\n")
        beat = json.loads(written) or {"status": "", "written_at": 0.0}
        if beat["status"] in AT_WORK and float(clock) - beat["written_at"] < FRESH_S:
            return int(beat["step"])
        if host.run(f"systemctl is-active {UNIT} || true", reads=True).strip() in ("inactive", "failed"):
            raise RedoxError(
                f"the training of {run} does not run on {host.name}",
                hint="python -m ops logs says why; without an image there: python -m ops train-remote brings one",
            )
        time.sleep(LOOK_S)
    raise RedoxError(f"{run} is not at work after {WORK_TIMEOUT_S:.0f} s", hint="python -m ops logs says why")
