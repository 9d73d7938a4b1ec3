"""`make restore`: the host back from an image, its volume on it, and the training going on."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from infra import quota
from infra.deployed import find
from ops.options import HostId
from ops.restore import backups
from ops.restore import plan as recovery
from ops.restore.execute import Job, carry_out, last_run, require_deployable, settle
from ops.restore.plan import ENDING
from ops.session import Answer, Session
from redox_balancer.terminal.tables import age_text

EXAMPLE = "Example: python -m ops restore --run production --instance i-0123456789abcdef0"


def restore(
    session: Session,
    *,
    run: Annotated[
        str | None, typer.Option(help="Run that goes on; the one that was last at work if not given.")
    ] = None,
    image: Annotated[str, typer.Option(help="Image of a host; the newest that is ready if not given.")] = "",
    instance: HostId = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the training is seen at work.")] = True,
    anew: Annotated[bool, typer.Option("--anew", help="Replace even a host that was made from that image.")] = False,
) -> Answer:
    """Put a host made from an image in place of the one that is there or was, and let the training go on.

    Saves if the host still answers. A restore that broke off goes on where it stopped when it is started again.
    """
    began, settings = time.monotonic(), session.settings
    # All that can be wrong comes before anything is changed.
    require_deployable(settings)
    quota.check(settings, session.client)
    chosen = backups.image_to_restore(session, image)
    there = settle(session)
    seen = recovery.look(session, there)
    recovery.refuse_volume(seen, settings)
    actions = recovery.plan(seen, chosen, anew=anew, spot=settings.host.spot)
    job = Job(session, seen, chosen, session.run_or_default(run or last_run(session)), wait)

    session.say(f"image {chosen.image_id}, {age_text(chosen.age_s)} old; run {job.run}; volume {seen.volume}")
    if seen.is_restored(chosen) and not anew:
        session.say(f"{seen.host} was made from {chosen.image_id}: going on with it; --anew replaces it")
    if seen.host and ENDING & set(actions):
        session.confirm(
            instance,
            seen.host,
            f"this ends {seen.host}, now {seen.host_state or 'gone'}, for a new host; volume and bucket stay",
            f"python -m ops restore --instance {seen.host}",
        )
    carry_out(job, actions)
    now = None if session.dry_run else find(settings)
    data: dict[str, Any] = {
        "actions": [action.value for action in actions],
        "host": now.instance_id if now else seen.host,
        "image": {**asdict(chosen), "age_s": chosen.age_s},
        "volume": now.volume_id if now else seen.volume,
        "run": job.run,
        "resumed_at": job.resumed_at[0] if job.resumed_at else None,
        "seconds": time.monotonic() - began,
    }
    if session.dry_run:
        return Answer(data)
    text = f"{data['host']} is back from {chosen.image_id} after {data['seconds']:.0f} s, run {job.run}"
    return Answer(data, f"{text} goes on at step {job.resumed_at[0]:,}" if job.resumed_at else text)
