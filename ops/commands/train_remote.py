"""`make train-remote`: a run on the host, started or resumed."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra import quota
from ops.aws import instance
from ops.aws.backups import take_image
from ops.aws.cost import this_month
from ops.aws.programs import require_connecting
from ops.options import RunName
from ops.remote import image, training
from ops.remote.attach import attach
from ops.remote.connect import connect
from ops.remote.training import TrainingState
from ops.session import CommandResult, Session
from redox_balancer.bench.advice import MeasuredTerms, enough_by_speed, read_terms, useful_actors
from redox_balancer.bench.scaling import HostModel
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from ops.remote.host import RemoteHost

EXAMPLE = "Example: python -m ops train-remote --run production --timesteps 50000000 -- --batch-size 1024"

ACTORS = "--num-actors="
WORTH_SAYING = 0.9  # of the actors: fewer are as fast
GB = 10**9
THIS_CLONE = "the image of this clone"
MIN_FREE = 5 * GB  # of each disk: an image, and checkpoints


def train_remote(
    session: Session,
    *,
    options: Annotated[
        list[str] | None, typer.Argument(help="After --: further options of redox train.", metavar="OPTIONS")
    ] = None,
    run: RunName = None,
    timesteps: Annotated[int | None, typer.Option(min=1, help="Environment steps of the run in total.")] = None,
    num_actors: Annotated[
        int | None, typer.Option(min=0, help="Actor processes; by default, those of the settings.")
    ] = None,
    terms: Annotated[
        Path | None, typer.Option(help="JSON of redox advise: warn where fewer actors are as fast.")
    ] = None,
    remote_image: Annotated[
        str,
        typer.Option("--image", help="An image that the host has or can pull: none is built, tried out or sent."),
    ] = "",
    snapshot: Annotated[bool, typer.Option(help="Take an image of the host first.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start the run without attaching to it.")] = False,
) -> CommandResult:
    """Start a run on the host, or resume it where it stopped, and attach to it; Ctrl-C detaches.

    Everything that can be wrong is checked first. An interrupted start continues when it is started again.
    """
    name, train_options = session.run_name(run), _train_options(timesteps, num_actors, options or [])
    recorded = read_terms(terms) if terms else []
    require_connecting()
    _preflight(session)
    if not remote_image and session.settings.container.image_delivery == "repository":
        remote_image = _from_repository(session)  # takes minutes; a host that is started first costs money meanwhile
    with connect(session) as host:
        return _train(
            host,
            name,
            train_options,
            recorded=recorded,
            remote_image=remote_image,
            snapshot=snapshot,
            attached=not detach,
        )


def _train(
    host: "RemoteHost",
    name: str,
    options: list[str],
    *,
    recorded: Sequence[MeasuredTerms],
    remote_image: str,
    snapshot: bool,
    attached: bool,
) -> CommandResult:
    session = host.session
    state = _reach(host, name)
    if state is None:  # a dry run does not start the host
        session.announce(f"train run {name} on it")
        return CommandResult({"run": name, "host": None, "begun": False})
    training.refuse_busy(host, state)
    _warn_of_idle_actors(session, state, options, recorded)
    _require_free_space(state)
    training.refuse_other_writer(session, name, state)
    chosen = _image(host, remote_image)
    if snapshot:
        take_image(session, wait=False)
    if not session.announce(
        f"train run {name} on {host.name} with {chosen}{''.join(f' {each}' for each in options)}"
    ):
        return CommandResult({"run": name, "host": host.name, "begun": False})
    since = training.inspect(host, name).now
    training.start(host, name, chosen, options)
    data: dict[str, Any] = {"run": name, "host": host.name, "image": chosen, "begun": True}
    if not attached:
        return CommandResult(data, f"run {name} was started: make status RUN={name}")
    beat = attach(host, name, since)
    if beat is None:
        return CommandResult(data, f"detached, run {name} continues: make status RUN={name}, make logs, make stop")
    if beat.status == "failed":
        raise RedoxError(f"run {name} failed: {beat.message}", hint="make logs shows more")
    return CommandResult({**data, "ended": asdict(beat)}, f"run {name} {beat.status} at step {beat.step:,}")


def _train_options(timesteps: int | None, num_actors: int | None, more: list[str]) -> list[str]:
    """Return options of the trainer; an invalid one is refused here and not on the host."""
    from typer.main import get_command  # noqa: PLC0415

    from redox_balancer.cli import app  # noqa: PLC0415

    given = [*([f"--timesteps={timesteps}"] if timesteps else []), *more]
    given += [f"{ACTORS}{num_actors}"] if num_actors is not None else []
    train = get_command(app).commands["train"]  # type: ignore[attr-defined]
    train.make_context("redox train", list(given))
    reserved = {"--remote", "--checkpoint-dir", "--resume"} & {each.split("=")[0] for each in given}
    if reserved:
        raise RedoxError(
            f"{min(reserved)} is set by the host", hint="--run names the run, and so its folder and bucket"
        )
    return given


def _warn_of_idle_actors(
    session: Session, state: TrainingState, options: Sequence[str], recorded: Sequence[MeasuredTerms]
) -> None:
    """Note where fewer actors are as fast, by the speeds that the run had or else by recorded terms."""
    host, given = session.settings.host, dict(each.split("=", 1) for each in options if "=" in each)
    actors = int(given.get("--num-actors", session.settings.training.num_actors))
    cells = int(given.get("--cells", 1))
    enough, why = enough_by_speed(state.speeds), "as the run has shown"
    if enough is None and recorded:
        model, machines = HostModel(vcpus=host.instance.vcpus), 1 + host.workers
        enough = max(
            useful_actors(each.terms, model, machines, max(actors, machines, cells), cells) for each in recorded
        )
        why = "as the recorded terms predict"
    if enough is not None and enough < WORTH_SAYING * actors:
        session.note(f"warning: {enough} actors are as fast as {actors}, {why}: ACTORS={enough}, or a smaller host")


def _preflight(session: Session) -> None:
    """Check login, deployment and quota before anything is started."""
    identity = session.client("sts").get_caller_identity()["Arn"]
    session.note(f"{identity}: host {session.deployed.instance_id or '-'}, bucket {session.deployed.bucket}")
    found = quota.check(session.settings, session.client)
    session.note(f"quota {found.code}: need {found.need} vCPUs, have {found.have}")


def _reach(host: "RemoteHost", run: str) -> TrainingState | None:
    """Start a host unless there is one, and inspect it; None in a dry run without one."""
    session = host.session
    month = this_month(session)
    session.note(month.text)
    if month.hours_left <= 0:
        raise RedoxError(
            f"this month's budget of {month.budget_usd:,.2f} USD is spent, so the host would end itself",
            hint="raise guard.monthly_budget_usd in deploy.toml; then make deploy",
        )
    if session.deployed.instance_id is None:
        if not session.announce("set the group of the host to 1"):
            return None
        instance.start(session)
    return training.inspect(host, run)


def _require_free_space(state: TrainingState) -> None:
    for path, disk in state.disks.items():
        if disk["free"] < MIN_FREE:
            raise RedoxError(
                f"{path} of the host has {disk['free'] / GB:.1f} GB free, a run needs {MIN_FREE / GB:.0f}",
                hint="docker system prune in python -m ops shell frees images; deploy.toml sets the disk sizes",
            )


def _image(host: "RemoteHost", remote_image: str) -> str:
    """Return the name of the image to run, once the host can take it."""
    session = host.session
    if remote_image:
        if session.settings.container.image_delivery == "host":
            image.require_on_host(host, remote_image)
        return remote_image
    if not session.announce("build the image of this clone, try it out here and send it"):
        return THIS_CLONE
    return image.load(host, image.build(session))


def _from_repository(session: Session) -> str:
    if not session.announce("build the image of this clone, try it out and push it, unless the repository has it"):
        return THIS_CLONE
    return image.provide(session)
