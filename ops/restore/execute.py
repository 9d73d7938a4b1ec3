"""Carrying out a restore: the steps of `ops.restore.plan`, each of which can be begun again."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.deployed import CDK, Deployed, cdk, find
from infra.names import AMI_ID, DATA_DEVICE, TRAINING
from infra.settings import ROOT, Settings
from ops.commands.stop import end_training
from ops.restore.backups import Image
from ops.restore.plan import RestoreAction, Situation
from ops.restore.verify import resume
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

if TYPE_CHECKING:
    from ops.session import Session

LOOK_S = 5.0
SETTLED_TIMEOUT_S = 3_600.0  # the bring-up alone may take half an hour until CloudFormation gives up
STOP_MARGIN_S = 300.0  # for the system to shut down, beyond what a training may take to save


@dataclass(frozen=True)
class Job:
    """A restore.

    Attributes
    ----------
    session
        The session.
    seen
        What was the case at its start.
    image
        What the host is made from.
    run
        The run that goes on.
    wait
        Whether to wait until the training is seen at work; the unit of the host goes on by itself, too.
    resumed_at
        Takes the step at which it resumed.
    """

    session: Session
    seen: Situation
    image: Image
    run: str
    wait: bool = True
    resumed_at: list[int] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The host that was there."""
        return self.seen.host or ""


def carry_out(job: Job, actions: Sequence[RestoreAction]) -> None:
    """Take the steps one after another; the first that fails ends it, and a later start goes on from there."""
    with _assembly(job, actions) as app:
        for action in actions:
            STEPS[action](job, app)


def require_deployable(settings: Settings) -> None:
    """Raise an error where a host could be ended here but not be deployed again."""
    for line in settings.unfinished:
        raise RedoxError(line, hint="a restore deploys, and make deploy refuses it")
    if not CDK.exists() or importlib.util.find_spec("aws_cdk") is None:
        raise RedoxError(
            "the CDK is not installed, and a restore deploys with it", hint="make setup, then make synth"
        )


def settle(session: Session) -> Deployed:
    """Return what is deployed once CloudFormation has ended what it is at, which a restore before may have begun."""
    deadline = time.monotonic() + SETTLED_TIMEOUT_S
    with notes().status("") as status:
        while True:
            there = find(session.settings)
            if there is None:
                raise RedoxError("nothing is deployed", hint="make deploy")
            if not Situation(stack=there.status).unsettled:
                session.deployed = there
                return there
            if session.dry_run or time.monotonic() > deadline:
                raise RedoxError(
                    f"{TRAINING} is in {there.status}, what comes next depends on how that ends",
                    hint="try again when it is over; its events in the console say what it waits for",
                )
            status.update(f"{TRAINING}: {there.status}")
            time.sleep(LOOK_S)


def last_run(session: Session) -> str | None:
    """Return the run whose lock was written last, which is the one that was at work; None where none ever was."""
    prefix = f"{session.settings.storage.locks}/"
    pages = (
        session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=session.deployed.bucket, Prefix=prefix)
    )
    locks = [(item["LastModified"], item["Key"]) for page in pages for item in page.get("Contents", ())]
    return max(locks)[1].removeprefix(prefix).removesuffix(".json") if locks else None


@contextmanager
def _assembly(job: Job, actions: Sequence[RestoreAction]) -> Iterator[Path | None]:
    """Synthesise what is to be deployed before the host ends: settings that do not work must cost no host."""
    if job.session.dry_run or RestoreAction.DEPLOY not in actions:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="redox-restore-") as folder:
        job.session.say(f"synthesising the deployment from {job.image.image_id}")
        if cdk(["synth", "--quiet", "--output", folder, "-c", f"{AMI_ID}={job.image.image_id}"], to_stderr=True):
            raise RedoxError("the deployment cannot be synthesised: nothing was changed", hint="make synth says why")
        yield Path(folder)


def _save(job: Job, _app: Path | None) -> None:
    if job.session.change(f"save and end the training on {job.host}, if it answers"):
        end_training(job.session)


def _stop(job: Job, _app: Path | None) -> None:
    """Shut the system down: that saves a training, too, and writes the volume's file system to its end."""
    session, ec2 = job.session, job.session.client("ec2")
    spot = session.settings.host.spot
    if not session.change(f"{'end' if spot else 'stop'} {job.host}"):
        return
    patience_s = session.settings.limits.stop_timeout_s + STOP_MARGIN_S
    if spot:  # cannot be stopped
        ec2.terminate_instances(InstanceIds=[job.host])
        _wait(ec2, "instance_terminated", f"until {job.host} has ended", patience_s, InstanceIds=[job.host])
        return
    ec2.stop_instances(InstanceIds=[job.host])
    try:
        _wait(ec2, "instance_stopped", f"until {job.host} has stopped", patience_s, InstanceIds=[job.host])
    except RedoxError:
        session.say(f"{job.host} does not stop by itself: forcing it")
        ec2.stop_instances(InstanceIds=[job.host], Force=True)
        _wait(ec2, "instance_stopped", f"until {job.host} has stopped", patience_s, InstanceIds=[job.host])


def _detach(job: Job, _app: Path | None) -> None:
    volume, ec2 = job.seen.volume, job.session.client("ec2")
    if job.session.change(f"detach {volume} from {job.host}"):
        ec2.detach_volume(VolumeId=volume, InstanceId=job.host)
        _wait(ec2, "volume_available", f"until {volume} is free", STOP_MARGIN_S, VolumeIds=[volume])


def _destroy(job: Job, app: Path | None) -> None:
    protected = f" and lift the protection of {job.host}" if job.host and not job.session.settings.host.spot else ""
    if job.session.change(f"destroy {TRAINING}{protected}; bucket, volume and images stay"):
        _infra("destroy", "--instance", job.host, "--app", app)


def _deploy(job: Job, app: Path | None) -> None:
    settings = job.session.settings
    what = f"deploy a {settings.host.instance_type} from {job.image.image_id}"
    if job.session.change(f"{what} at {settings.price.per_hour_usd} USD an hour, {job.seen.volume} attached to it"):
        # Direct: nobody looks at a change set.
        options = ("--app", app, "--require-approval", "never", "--method", "direct")
        _infra("deploy", "--image", job.image.image_id, *options)


def _infra(verb: str, *arguments: object) -> None:
    """Run `python -m infra.VERB`, in a process of its own: what it needs, the other verbs do without."""
    command = [sys.executable, "-m", f"infra.{verb}", *map(str, arguments)]
    # stdout is for our own answer.
    code = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode  # noqa: S603 - our own
    if code:
        raise RedoxError(
            f"python -m infra.{verb} ended with exit code {code}; what it said is above",
            hint="mend that and start the restore again: it goes on where it stopped",
        )


def _attach(job: Job, _app: Path | None) -> None:
    volume, ec2 = job.seen.volume, job.session.client("ec2")
    if job.session.change(f"attach {volume} to {job.host}"):
        ec2.attach_volume(VolumeId=volume, InstanceId=job.host, Device=DATA_DEVICE)
        _wait(ec2, "volume_in_use", f"until {volume} is attached", STOP_MARGIN_S, VolumeIds=[volume])


def _resume(job: Job, _app: Path | None) -> None:
    if job.session.change(f"let the training of {job.run} go on") and job.wait:
        job.resumed_at.append(resume(job.session.settings, job.run))


def _wait(ec2: Any, waiter: str, what: str, seconds: float, **which: Any) -> None:
    """Wait for a state that boto3 knows how to wait for; an error where it does not come in time."""
    from botocore.exceptions import WaiterError  # noqa: PLC0415 - `--help` does without

    with notes().status(f"waiting {what}"):
        try:
            tries = {"Delay": int(LOOK_S), "MaxAttempts": int(seconds / LOOK_S)}
            ec2.get_waiter(waiter).wait(**which, WaiterConfig=tries)
        except WaiterError as error:
            raise RedoxError(
                f"waited {what}, for {seconds:.0f} s: {error}", hint="start the restore again: it goes on from there"
            ) from error


STEPS: Mapping[RestoreAction, Callable[[Job, Path | None], None]] = {
    RestoreAction.SAVE: _save,
    RestoreAction.STOP: _stop,
    RestoreAction.DETACH: _detach,
    RestoreAction.DESTROY: _destroy,
    RestoreAction.DEPLOY: _deploy,
    RestoreAction.ATTACH: _attach,
    RestoreAction.RESUME: _resume,
}
