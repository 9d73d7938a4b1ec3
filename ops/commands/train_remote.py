"""`make train-remote`: a run queued for the host, started or resumed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from infra import quota
from infra.machine import contract
from infra.machine.jobs import Job, Queue, change
from ops.aws import instance
from ops.aws.backups import take_image
from ops.aws.cost import this_month
from ops.aws.programs import require_connecting
from ops.remote import image, training
from ops.remote.attach import attach
from ops.remote.host import RemoteHost
from ops.remote.training import TrainingState
from ops.session import CommandResult, RunName, Session
from redox_balancer.bench.advice import MeasuredTerms, enough_by_speed, read_terms, useful_actors
from redox_balancer.bench.scaling import HostModel
from redox_balancer.errors import RedoxError

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
        str, typer.Option("--image", help="An image that the host has or can pull: none is built, tried out or sent.")
    ] = "",
    snapshot: Annotated[bool, typer.Option(help="Take an image of the host first.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start the run without attaching to it.")] = False,
) -> CommandResult:
    """Queue a run, which the host starts or resumes once it is free, and attach to one that starts; Ctrl-C detaches.

    Everything that can be wrong is checked first. The run is queued before a host is launched for it.
    """
    name, train_options = session.run_name(run), _train_options(timesteps, num_actors, options or [])
    recorded = read_terms(terms) if terms else []
    require_connecting()
    _preflight(session)
    with RemoteHost(session) as host:
        state = _inspected(host, name)
        place(session.queue(), Job(name, ""), trains=_may_train(session, state))
        if session.settings.container.image_delivery == "host" and state is None:
            if not session.announce("set the group of the host to 1"):
                return CommandResult({"run": name, "host": None, "begun": False})
            instance.ensure(session)
            instance.wait_until_set_up(session)
            state = training.inspect(host, name)
        _warn_of_idle_actors(session, state.speeds if state else {}, train_options, recorded)
        if state:
            _require_free_space(state)
        training.refuse_other_writer(session, name, state.writer if state else None)
        if state and not session.dry_run:  # an idle host stays while the image is made ready
            host.run(f"sudo -n touch {contract.KEEP_AWAKE}")
        environment = training.run_environment(name, _image(host, remote_image), train_options)
        if snapshot and state:
            take_image(session, wait=False)
        shown = "".join(f" {each}" for each in train_options)
        if not session.announce(f"queue run {name}{shown}"):
            return CommandResult({"run": name, "host": session.deployed.instance_id, "begun": False})
        return _queued(host, Job(name, environment, time.time()), state, attached=not detach)


def _queued(host: RemoteHost, job: Job, state: TrainingState | None, *, attached: bool) -> CommandResult:
    """Queue a job, have a host for it, and follow it unless others are before it."""
    session, run, trains = host.session, job.run, _may_train(host.session, state)
    queue = change(session.bucket, lambda now: place(now, job, trains=trains))
    # Now that it is in the bucket, for a host that has not closed the queue; see `infra.machine.jobs`.
    instance.ensure(session)
    position = queue.waiting.index(job) + (queue.active is not None)
    data: dict[str, Any] = {"run": run, "host": session.deployed.instance_id, "begun": True, "before": position}
    if position:
        return CommandResult(data, f"run {run} waits behind {position} other{'s' * (position > 1)}: make queue")
    if not attached:
        return CommandResult(data, f"run {run} starts: make status RUN={run}")
    if state is None:
        session.note("waiting until a host is set up and can be reached")
        instance.wait_until_set_up(session)
    now = state or training.inspect(host, run)
    beat = attach(host, run, now.now if state else now.now - now.uptime_s)
    if beat is None:
        return CommandResult(data, f"detached, run {run} continues: make status RUN={run}, make logs, make stop")
    if beat.status == "failed":
        raise RedoxError(f"run {run} failed: {beat.message}", hint="make logs shows more")
    return CommandResult({**data, "ended": asdict(beat)}, f"run {run} {beat.status} at step {beat.step:,}")


def place(queue: Queue, job: Job, *, trains: bool) -> None:
    """Add a job at its place in the queue; a RedoxError if its run is in it already, or is the active one."""
    active = queue.active is not None and queue.active.run == job.run
    if active and trains:
        raise RedoxError(
            f"run {job.run} is the active one", hint=f"make status RUN={job.run} shows it; make stop ends it"
        )
    if job.run in [each.run for each in queue.waiting]:
        raise RedoxError(f"run {job.run} is queued already", hint=f"make queue; make cancel JOB={job.run}")
    queue.failed = [each for each in queue.failed if each.run != job.run]
    if active:  # interrupted: it goes on, with these options
        queue.active = None
    queue.waiting.insert(0 if active else len(queue.waiting), job)


def _may_train(session: Session, state: TrainingState | None) -> bool:
    """Whether a host trains the active run, or the next one will."""
    return state.trains if state else bool(session.deployed.wanted)


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
    session: Session, speeds: Mapping[int, float], options: Sequence[str], recorded: Sequence[MeasuredTerms]
) -> None:
    """Note where fewer actors are as fast, by the speeds that the run had or else by recorded terms."""
    host, given = session.settings.host, dict(each.split("=", 1) for each in options if "=" in each)
    actors = int(given.get("--num-actors", session.settings.training.num_actors))
    cells = int(given.get("--cells", 1))
    enough, why = enough_by_speed(speeds), "as the run has shown"
    if enough is None and recorded:
        model, machines = HostModel(vcpus=host.instance.vcpus), 1 + host.workers
        enough = max(
            useful_actors(each.terms, model, machines, max(actors, machines, cells), cells) for each in recorded
        )
        why = "as the recorded terms predict"
    if enough is not None and enough < WORTH_SAYING * actors:
        session.note(f"warning: {enough} actors are as fast as {actors}, {why}: ACTORS={enough}, or a smaller host")


def _preflight(session: Session) -> None:
    """Check login, deployment, quota and budget before anything is started."""
    identity = session.client("sts").get_caller_identity()["Arn"]
    session.note(f"{identity}: host {session.deployed.instance_id or '-'}, bucket {session.deployed.bucket}")
    found = quota.check(session.settings, session.client)
    session.note(f"quota {found.code}: need {found.need} vCPUs, have {found.have}")
    month = this_month(session)
    session.note(month.text)
    if month.hours_left <= 0:
        raise RedoxError(
            f"this month's budget of {month.budget_usd:,.2f} USD is spent, so the host would end itself",
            hint="raise guard.monthly_budget_usd in deploy.toml; then make deploy",
        )


def _inspected(host: RemoteHost, run: str) -> TrainingState | None:
    """Inspect the host; None if there is none that can be reached: it is being launched or ends."""
    session = host.session
    if session.deployed.instance_id is None or instance.describe(session).state != "running":
        return None
    return training.inspect(host, run) if instance.is_online(session) else None


def _require_free_space(state: TrainingState) -> None:
    for path, disk in state.disks.items():
        if disk["free"] < MIN_FREE:
            raise RedoxError(
                f"{path} of the host has {disk['free'] / GB:.1f} GB free, a run needs {MIN_FREE / GB:.0f}",
                hint="docker system prune in python -m ops shell frees images; deploy.toml sets the disk sizes",
            )


def _image(host: RemoteHost, given: str) -> str:
    """Return the name of the image to run, once a host can take it."""
    session = host.session
    to_host = session.settings.container.image_delivery == "host"
    if given:
        if to_host:
            image.require_on_host(host, given)
        return given
    where = "send it" if to_host else "push it, unless the repository has it"
    if not session.announce(f"build the image of this clone, try it out and {where}"):
        return THIS_CLONE
    return image.load(host, image.build(session)) if to_host else image.provide(session)
