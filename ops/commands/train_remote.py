"""`make train-remote`: a run on the host, begun or gone on with, and followed."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import Annotated, Any

import typer

from infra import quota
from ops import cost as spending
from ops.options import RunName
from ops.remote import attach as following
from ops.remote import image, instance, training
from ops.remote.training import TrainingState
from ops.restore import backups
from ops.session import Answer, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops train-remote --run production --timesteps 50000000 -- --batch-size 1024"

GB = 10**9
LEAST_FREE = 5 * GB  # of each disk: an image, and checkpoints
PROGRAMS = {
    "aws": "install the AWS CLI, version 2",
    "session-manager-plugin": "install the Session Manager plugin of the AWS CLI",
    "ssh": "install OpenSSH's client",
}


def train_remote(
    session: Session,
    *,
    options: Annotated[
        list[str] | None, typer.Argument(help="After --: further options of redox train.", metavar="OPTIONS")
    ] = None,
    run: RunName = None,
    timesteps: Annotated[int | None, typer.Option(min=1, help="Environment steps of the run in all.")] = None,
    num_actors: Annotated[
        int | None, typer.Option(min=0, help="Actor processes; the settings' if not given.")
    ] = None,
    image_there: Annotated[
        str, typer.Option("--image", help="An image that is there already: nothing is built, tried or sent.")
    ] = "",
    snapshot: Annotated[bool, typer.Option(help="Keep the host and its volume as they are, first.")] = True,
    detach: Annotated[bool, typer.Option("--detach", help="Begin the run, and do not follow it.")] = False,
) -> Answer:
    """Begin a run on the host, or go on with it where it stopped, and follow it; Ctrl-C detaches from it.

    Looks at everything that can be wrong first; a start that broke off goes on when it is started again.
    """
    name, more = session.run_or_default(run), _options(timesteps, num_actors, options or [])
    _require_programs()
    _preflight(session)
    seen = _reach(session, name)
    if seen is None:  # a dry run does not start the host
        session.change(f"train run {name} there")
        return Answer({"run": name, "host": session.host, "begun": False})
    training.refuse_busy(session, seen)
    _require_room(seen)
    training.refuse_other_writer(session, name, seen)
    chosen = _image(session, image_there)
    if snapshot and seen.beats:
        backups.take(session, wait=False)
    if not session.change(f"train run {name} on {session.host} with {chosen}{''.join(f' {each}' for each in more)}"):
        return Answer({"run": name, "host": session.host, "begun": False})
    since = training.look(session, name).now
    training.begin(session, name, chosen, more)
    data: dict[str, Any] = {"run": name, "host": session.host, "image": chosen, "begun": True}
    if detach:
        return Answer(data, f"run {name} has begun: make status RUN={name}")
    beat = following.follow(session, name, since)
    if beat is None:
        return Answer(data, f"detached, run {name} goes on: make status RUN={name}, make logs, make stop")
    if beat.status == "failed":
        raise RedoxError(f"run {name} failed: {beat.message}", hint="make logs shows more")
    return Answer({**data, "ended": asdict(beat)}, f"run {name} {beat.status} at step {beat.step:,}")


def _options(timesteps: int | None, num_actors: int | None, more: list[str]) -> list[str]:
    """Return options of the trainer; one that it does not know is an error here and not on the host."""
    from typer.main import get_command  # noqa: PLC0415

    from redox_balancer.cli import app  # noqa: PLC0415

    given = [*([f"--timesteps={timesteps}"] if timesteps else []), *more]
    given += [f"--num-actors={num_actors}"] if num_actors is not None else []
    train = get_command(app).commands["train"]  # type: ignore[attr-defined]
    train.make_context("redox train", list(given))
    ours = {"--remote", "--checkpoint-dir", "--resume"} & {each.split("=")[0] for each in given}
    if ours:
        raise RedoxError(
            f"{min(ours)} is the host's to set", hint="--run names the run, and so its folder and bucket"
        )
    return given


def _require_programs() -> None:
    for program, hint in PROGRAMS.items():
        if shutil.which(program) is None:
            raise RedoxError(f"{program} is not installed on this machine", hint=hint)


def _preflight(session: Session) -> None:
    """Ask AWS for what can be wrong, before anything is started."""
    who = session.client("sts").get_caller_identity()["Arn"]
    session.say(f"{who}: host {session.host}, bucket {session.deployed.bucket}")
    found = quota.check(session.settings, session.client)
    session.say(f"quota {found.code}: need {found.need} vCPUs, have {found.have}")


def _reach(session: Session, run: str) -> TrainingState | None:
    """Start the host where it is stopped, and look at it; None in a dry run of a host that does not run."""
    there = instance.look(session)
    if there.state != "running":
        if not session.change(f"start {session.host}, which is {there.state}"):
            return None
        instance.start(session, there)
    seen = training.look(session, run)
    month = spending.this_month(session)
    session.say(month.text)
    if month.hours_left <= 0:
        raise RedoxError(
            f"this month's budget of {month.budget_usd:,.2f} USD is spent, the host would stop itself",
            hint="guard.monthly_budget_usd in deploy.toml raises it; then make deploy and make apply",
        )
    return seen


def _require_room(seen: TrainingState) -> None:
    for path, disk in seen.disks.items():
        if disk["free"] < LEAST_FREE:
            raise RedoxError(
                f"{path} of the host has {disk['free'] / GB:.1f} GB free, a run needs {LEAST_FREE / GB:.0f}",
                hint="docker system prune in python -m ops shell frees images; deploy.toml has the volumes' sizes",
            )


def _image(session: Session, there: str) -> str:
    """Return the image that the host shall run, once it is where the host finds it."""
    if there:
        if session.settings.container.image_delivery == "host":
            session.on_host().run(f"sudo -n docker image inspect --format {{{{.Id}}}} {there}", reads=True)
        return there
    if not session.change("build the image of this clone, try it out here and send it"):
        return "the image of this clone"
    name = image.build()
    image.smoke(session, name)
    return image.deliver(session, name)
