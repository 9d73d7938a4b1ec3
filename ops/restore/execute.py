"""Executing the plan of a restore; each step can be repeated."""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.deployed import CDK, Deployed, cdk, find
from infra.names import DATA_DEVICE, TRAINING
from infra.settings import ROOT, Settings
from infra.shutdown import shut_down
from ops.aws.backups import HostImage
from ops.remote.training import end_training
from ops.restore.plan import RestoreAction, Situation
from ops.restore.verify import wait_until_resumed
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

POLL_S = 5.0
SETTLE_TIMEOUT_S = 3_600.0  # CloudFormation waits half an hour for the set-up of a host alone
VOLUME_TIMEOUT_S = 300.0


@dataclass
class Restore:
    """A restore that is being executed."""

    session: Session
    situation: Situation  # of the deployment at its start
    image: HostImage  # for the new host
    run: str  # to resume
    wait: bool = True  # until the run is training; the unit of the host resumes it in any case
    resumed_at: int | None = None  # the step at which it resumed
    assembly: Path | None = None  # the synthesised deployment

    def __post_init__(self) -> None:
        self.host = self.situation.host or ""  # the old one

    def execute(self, actions: Sequence[RestoreAction]) -> None:
        """Take the steps in order. The first error ends the restore; started again, it continues from there."""
        steps = {
            RestoreAction.SAVE: self._save,
            RestoreAction.STOP: self._stop,
            RestoreAction.DETACH: self._detach,
            RestoreAction.DESTROY: self._destroy,
            RestoreAction.DEPLOY: self._deploy,
            RestoreAction.ATTACH: self._attach,
            RestoreAction.RESUME: self._resume,
        }
        with tempfile.TemporaryDirectory(prefix="redox-restore-") as folder:
            if RestoreAction.DEPLOY in actions and not self.session.dry_run:
                self._synthesise(Path(folder))
            for action in actions:
                steps[action]()

    def _synthesise(self, folder: Path) -> None:
        """Synthesise the deployment before the old host is ended: invalid settings must not cost a host."""
        from infra.deploy import context  # noqa: PLC0415 - loads botocore, and `--help` does without

        image = self.image.image_id
        self.session.note(f"synthesising the deployment from {image}")
        options = context(self.session.settings, image)
        if cdk(["synth", "--quiet", "--output", str(folder), *options], to_stderr=True):
            raise RedoxError("the deployment cannot be synthesised: nothing was changed", hint="make synth shows why")
        self.assembly = folder

    def _save(self) -> None:
        if self.session.announce(f"save and end the training on {self.host}, if it can be reached"):
            end_training(self.session)

    def _stop(self) -> None:
        """Shut the system down, which saves a training, too, and flushes the file system of the volume."""
        session, host = self.session, self.host
        if session.announce(f"{'terminate' if session.settings.host.spot else 'stop'} {host}"):
            with notes().status(f"waiting until {host} has stopped"):
                shut_down(session.settings, session.client("ec2"), host, session.note)

    def _detach(self) -> None:
        volume, ec2 = self.situation.volume, self.session.client("ec2")
        if self.session.announce(f"detach {volume} from {self.host}"):
            ec2.detach_volume(VolumeId=volume, InstanceId=self.host)
            _wait(ec2, "volume_available", f"until {volume} is detached", VOLUME_TIMEOUT_S, VolumeIds=[volume])

    def _destroy(self) -> None:
        protected = self.host and not self.session.settings.host.spot
        lifting = f" and lift the termination protection of {self.host}" if protected else ""
        if self.session.announce(f"destroy {TRAINING}{lifting}; bucket, volume and images are retained"):
            _infra("destroy", "--instance", self.host, "--app", self.assembly)

    def _deploy(self) -> None:
        settings, image = self.session.settings, self.image.image_id
        change = f"deploy a {settings.host.instance_type} from {image} at {settings.price_of_host}"
        if self.session.announce(f"{change}, {self.situation.volume} attached to it"):
            # Directly, without a change set, which would not be reviewed.
            options = ("--app", self.assembly, "--require-approval", "never", "--method", "direct")
            _infra("deploy", "--image", image, *options)

    def _attach(self) -> None:
        volume, ec2 = self.situation.volume, self.session.client("ec2")
        if self.session.announce(f"attach {volume} to {self.host}"):
            ec2.attach_volume(VolumeId=volume, InstanceId=self.host, Device=DATA_DEVICE)
            _wait(ec2, "volume_in_use", f"until {volume} is attached", VOLUME_TIMEOUT_S, VolumeIds=[volume])

    def _resume(self) -> None:
        if self.session.announce(f"resume the training of {self.run}") and self.wait:
            self.resumed_at = wait_until_resumed(self.session.settings, self.run)


def require_deployable(settings: Settings) -> None:
    """Raise a RedoxError if a host could be ended but not deployed again from this machine."""
    for line in settings.unfinished:
        raise RedoxError(line, hint="a restore deploys a host, which make deploy would refuse")
    if not CDK.exists() or importlib.util.find_spec("aws_cdk") is None:
        raise RedoxError(
            "the CDK is not installed, and a restore deploys with it", hint="make setup, then make synth"
        )


def wait_until_settled(session: Session) -> Deployed:
    """Return the deployment once CloudFormation has finished what an earlier restore may have started."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    with notes().status("") as status:
        while True:
            deployed = find(session.settings)
            if deployed is None:
                raise RedoxError("nothing is deployed", hint="make deploy")
            if not Situation(stack=deployed.status).in_progress:
                session.deployed = deployed
                return deployed
            if session.dry_run or time.monotonic() > deadline:
                raise RedoxError(
                    f"{TRAINING} is in {deployed.status}; the next step depends on how that ends",
                    hint="try again when it has ended; the stack's events in the console show what it waits for",
                )
            status.update(f"{TRAINING}: {deployed.status}")
            time.sleep(POLL_S)


def last_run(session: Session) -> str | None:
    """Return the run whose lock was written last, which is the one that trained last; None if there is no lock."""
    prefix, s3 = f"{session.settings.storage.locks}/", session.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=session.deployed.bucket, Prefix=prefix)
    locks = [(item["LastModified"], item["Key"]) for page in pages for item in page.get("Contents", ())]
    return max(locks)[1].removeprefix(prefix).removesuffix(".json") if locks else None


def _infra(command: str, *arguments: object) -> None:
    """Run `python -m infra.COMMAND` in a process of its own: only this step needs the CDK's libraries."""
    line = [sys.executable, "-m", f"infra.{command}", *map(str, arguments)]
    # stdout is for our own result.
    code = subprocess.run(line, cwd=ROOT, stdout=sys.stderr, check=False).returncode  # noqa: S603 - our own
    if code:
        raise RedoxError(
            f"python -m infra.{command} failed with exit code {code}; see its output above",
            hint="fix that and start the restore again: it continues where it stopped",
        )


def _wait(ec2: Any, waiter: str, condition: str, timeout_s: float, **resource: Any) -> None:
    """Wait with a waiter of boto3; a RedoxError if the time runs out."""
    from botocore.exceptions import WaiterError  # noqa: PLC0415 - not needed for `--help`

    with notes().status(f"waiting {condition}"):
        try:
            config = {"Delay": int(POLL_S), "MaxAttempts": int(timeout_s / POLL_S)}
            ec2.get_waiter(waiter).wait(**resource, WaiterConfig=config)
        except WaiterError as error:
            raise RedoxError(
                f"waited {condition}, for {timeout_s:.0f} s: {error}",
                hint="start the restore again: it continues from there",
            ) from error
