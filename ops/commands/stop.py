"""`make stop`: the training saved and ended, and the host stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import HostId
from ops.remote import instance, training
from ops.session import Answer, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops stop --instance i-0123456789abcdef0"
MARGIN_S = 60.0  # beyond what a training may take to save


def stop(
    session: Session,
    *,
    instance_id: HostId = "",
    keep_host: Annotated[bool, typer.Option("--keep-host", help="End the training only.")] = False,
) -> Answer:
    """Have the training save and end, then stop the host; its volume stays, and train-remote starts it again."""
    host = session.host
    there = instance.look(session)
    if session.settings.host.spot and not keep_host:
        raise RedoxError(f"{host} was bought on the spot market, which knows no stop", hint="make destroy ends it")
    if there.state in ("stopped", "stopping"):
        return Answer({"host": host, "state": there.state}, f"{host} is {there.state}")
    what = "the training on it" if keep_host else "it, and the training on it"
    session.confirm(instance_id, host, f"{host}: this stops {what}", f"python -m ops stop --instance {host}")
    saved = end_training(session)
    if keep_host:
        return Answer({"host": host, "state": there.state, "saved": saved}, f"the training is over, {host} runs on")
    if session.change(f"stop {host}"):
        session.client("ec2").stop_instances(InstanceIds=[host])
    return Answer({"host": host, "state": "stopping", "saved": saved}, f"{host} stops; make train-remote starts it")


def end_training(session: Session) -> int | None:
    """End the training and return the step of its newest checkpoint; a host out of reach saves when it shuts down."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - `--help` does without

    try:
        seen = training.look(session, "")
        if seen.at_work and session.change(f"end the training of run {seen.set_run}, which saves first"):
            session.on_host().run(
                f"sudo -n systemctl stop {training.UNIT}",
                timeout_s=session.settings.limits.stop_timeout_s + MARGIN_S,
            )
            seen = training.look(session, "")
    except (RedoxError, ClientError, BotoCoreError) as error:
        session.say(f"{error}; a training saves when its host shuts down, too")
        return None
    step = seen.beat.checkpoint_step if seen.beat else None
    session.say(f"newest checkpoint of run {seen.run}: " + ("none" if step is None else f"step {step:,}"))
    return step
