"""`make restore`: the host replaced by one made from an image, with its volume, and the training resumed."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from infra import quota
from infra.deployed import find
from ops.aws.backups import image_to_restore
from ops.options import HostId
from ops.restore import plan as planning
from ops.restore.execute import Restore, last_run, require_deployable, wait_until_settled
from ops.restore.plan import ENDING
from ops.session import CommandResult, Session
from redox_balancer.terminal.tables import age_text

EXAMPLE = "Example: python -m ops restore --run production --instance i-0123456789abcdef0"


def restore(
    session: Session,
    *,
    run: Annotated[
        str | None, typer.Option(help="Run to resume; by default, the one that was training last.")
    ] = None,
    image: Annotated[str, typer.Option(help="Image of a host; by default, the newest available one.")] = "",
    instance: HostId = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the run is training.")] = True,
    anew: Annotated[bool, typer.Option("--anew", help="Replace even a host that was made from that image.")] = False,
) -> CommandResult:
    """Replace the host by one made from an image, and resume the training.

    The training saves first if the host can be reached. An interrupted restore continues when it is started again.
    """
    started, settings = time.monotonic(), session.settings
    # Everything that can be wrong is checked before anything is changed.
    require_deployable(settings)
    quota.check(settings, session.client)
    chosen = image_to_restore(session, image)
    situation = planning.inspect(session, wait_until_settled(session))
    planning.refuse_volume(situation, settings)
    actions = planning.plan(situation, chosen, replace=anew, spot=settings.host.spot)
    job = Restore(session, situation, chosen, session.run_name(run or last_run(session)), wait)

    volume = situation.volume
    session.note(f"image {chosen.image_id}, {age_text(chosen.age_s)} old; run {job.run}; volume {volume}")
    if situation.is_restored(chosen) and not anew:
        session.note(f"{situation.host} was made from {chosen.image_id}: keeping it; --anew replaces it")
    if situation.host and ENDING & set(actions):
        state = situation.host_state or "terminated"
        session.confirm(
            instance,
            situation.host,
            f"this ends {situation.host}, now {state}, and deploys a new host; volume and bucket are retained",
            f"python -m ops restore --instance {situation.host}",
        )
    job.execute(actions)
    deployed = None if session.dry_run else find(settings)
    data: dict[str, Any] = {
        "actions": [action.value for action in actions],
        "host": deployed.instance_id if deployed else situation.host,
        "image": {**asdict(chosen), "age_s": chosen.age_s},
        "volume": deployed.volume_id if deployed else volume,
        "run": job.run,
        "resumed_at": job.resumed_at,
        "seconds": time.monotonic() - started,
    }
    if session.dry_run:
        return CommandResult(data)
    text = f"{data['host']} was restored from {chosen.image_id} in {data['seconds']:.0f} s, run {job.run}"
    return CommandResult(data, text if job.resumed_at is None else f"{text} resumed at step {job.resumed_at:,}")
