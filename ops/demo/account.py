"""The stage of `make acceptance`: a real account, with a deployment of its own that is removed in every case."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra import images
from infra.deployed import find
from infra.names import DASHED, LOG_GROUP, STORAGE, TRAINING
from infra.settings import FILE, VARIABLE, Settings
from ops.aws.orphans import ADDRESS_USD_HOUR, HOURS_PER_MONTH, find_orphans
from ops.demo import settings as story_settings
from ops.demo.settings import RUN
from ops.demo.terminal import Terminal
from ops.remote.host import RemoteHost
from ops.remote.training import inspect
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat
from redox_balancer.runs.signals import stop_signals

PREFIX = "Acceptance"
# Minutes of each step, and of a host in it: assumed, nothing here was measured at AWS.
PLAN = {
    "preflight, without any change": (1, 0),
    "deploy, fire an alarm, read its history": (8, 0),
    "push the image, queue two runs, launch a host, snapshot": (20, 12),
    "terminate the instance; replaced and resumed unattended": (10, 10),
    "work off the queue; 15 idle minutes; the group is at 0": (18, 18),
    "pull the newest checkpoints, report": (3, 0),
    "clean up, list what is left": (10, 0),
}
REST_USD = 0.05  # of alarms, metrics, requests and stored gigabytes for an hour: at most
GONE = ("NoSuchBucket", "RepositoryNotFoundException", "ResourceNotFoundException")
ATTEMPTS = 2  # the host may have been replaced between two calls


def settings(path: Path) -> Settings:
    """Write the settings: a small host with names of its own, which disturb no other deployment."""
    changes = {
        "prefix": f'"{PREFIX}"',
        "disk_gib": 30,
        "idle_minutes": 15,  # a host needs some to be set up and to pull the image
        "monthly_budget_usd": 5,
        "save_interval_s": 60,
        "image_delivery": '"repository"',
        "environment": '"acceptance"',
    }
    return story_settings.write(path, changes)


def plan(of: Settings) -> list[tuple[str, int, float]]:
    """Return each step with its minutes and its cost, USD."""
    disk = of.host.disk_gib * of.price.volume_gib_month_usd / HOURS_PER_MONTH
    hour = of.price.per_hour_usd + disk + ADDRESS_USD_HOUR
    steps = [(step, minutes, billed / 60 * hour) for step, (minutes, billed) in PLAN.items()]
    return [*steps, ("alarms, metrics, requests and storage, at most", 0, REST_USD)]


class AccountStage:
    """The account of the user's login; what is left after the clean-up is in `left`."""

    timeout_s, poll_s = 1_800.0, 10.0  # of every wait

    def __init__(self, session: Session, folder: Path, image: str) -> None:
        self.settings, self.left, self._session, self._image = session.settings, list[str](), session, image
        self.client: Callable[[str], Any] = session.client
        self._terminal = Terminal(folder, session.note, self.environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the deployment; a signal does not interrupt it."""
        for number in stop_signals():
            signal.signal(number, signal.SIG_IGN)
        self._session.note("\n8. Clean up, which is not to be interrupted, and list what is left")
        for clean in (self._end_host, self._delete_stack, self._delete_images, self._delete_storage):
            try:
                clean()
            except (RedoxError, ClientError, BotoCoreError) as error:
                self._session.note(f"  {error}")
        self.left += self._found()
        self._session.note(
            f"left: {'; '.join(self.left) or 'nothing'}. The CDK keeps some templates in its own bucket."
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """That of the user, with the settings of this deployment."""
        return {**os.environ, VARIABLE: str(FILE.absolute())}

    def deploy(self, terminal: Terminal) -> None:
        """Check what a deployment needs, and deploy."""
        terminal.python("ops", "preflight")
        terminal.python("infra.deploy", "--require-approval", "never", "--method", "direct")

    def image(self, terminal: Terminal) -> tuple[str, ...]:
        """Return the options of `train-remote` that name the given image, or leave it to that."""
        del terminal
        return ("--image", self._image) if self._image else ()

    def heartbeat(self, host: str) -> Heartbeat | None:
        """Read the heartbeat of the run through Systems Manager; None if there is none."""
        self._session.forget_deployed()
        try:
            with RemoteHost(self._session) as remote:
                return inspect(remote, RUN).beat if remote.name == host else None
        except (RedoxError, ClientError, BotoCoreError):
            return None  # a host that is being set up

    def lose(self, host: str) -> str:
        """Terminate the instance of a host, and return how it was lost."""
        self.client("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=host, ShouldDecrementDesiredCapacity=False
        )
        return "its instance was terminated"

    def idle(self, host: str) -> None:
        """Let the time pass after which an idle host ends itself: it is waited for."""

    def results(self) -> dict[str, Any]:
        """Return nothing beyond the steps."""
        return {}

    def _end_host(self) -> None:
        for attempt in range(ATTEMPTS):
            deployed = find(self.settings)
            if deployed is None or not deployed.status:
                return
            host = ["--instance", deployed.instance_id] if deployed.instance_id else []
            try:
                self._terminal.python("infra.destroy", "--no-snapshot", *host)
            except RedoxError:
                if attempt == ATTEMPTS - 1:
                    raise

    def _delete_stack(self) -> None:
        """Delete the stack of what is retained first: its function writes into the log."""
        cloudformation = self.client("cloudformation")
        cloudformation.delete_stack(StackName=STORAGE)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=STORAGE)

    def _delete_images(self) -> None:
        ec2 = self.client("ec2")
        for image in images.ours(ec2):
            ec2.deregister_image(ImageId=image["ImageId"], DeleteAssociatedSnapshots=True)

    def _delete_storage(self) -> None:
        s3 = self.client("s3")
        if f"bucket {self._bucket}" in self._names():
            boto3.resource("s3").Bucket(self._bucket).object_versions.delete()
        for delete, what in (
            (s3.delete_bucket, {"Bucket": self._bucket}),
            (self.client("ecr").delete_repository, {"repositoryName": self._repository, "force": True}),
            (self.client("logs").delete_log_group, {"logGroupName": LOG_GROUP}),
        ):
            try:
                delete(**what)
            except ClientError as error:
                if error.response["Error"]["Code"] not in GONE:
                    raise

    @property
    def _bucket(self) -> str:
        account = self.client("sts").get_caller_identity()["Account"]
        return DASHED + self.settings.storage.bucket(account, self.settings.aws.region)

    @property
    def _repository(self) -> str:
        return DASHED + self.settings.container.image

    def _names(self) -> set[str]:
        """Return what the stacks make and retain, as far as it exists."""
        ours = {f"stack {TRAINING}", f"stack {STORAGE}", f"bucket {self._bucket}", f"log {LOG_GROUP}"}
        found = {f"bucket {each['Name']}" for each in self.client("s3").list_buckets()["Buckets"]}
        for service, operation, key, name, kind in (
            ("cloudformation", "describe_stacks", "Stacks", "StackName", "stack"),
            ("ecr", "describe_repositories", "repositories", "repositoryName", "repository"),
            ("logs", "describe_log_groups", "logGroups", "logGroupName", "log"),
        ):
            names = self.client(service).get_paginator(operation).paginate().search(f"{key}[].{name}")
            found |= {f"{kind} {each}" for each in names}
        return found & {*ours, f"repository {self._repository}"}

    def _found(self) -> Iterator[str]:
        """Yield what is left, with its cost."""
        try:
            yield from sorted(f"{each}, cents a month at most" for each in self._names())
            for each in find_orphans(self._session):
                usd = "of unknown cost" if each.usd_month is None else f"{each.usd_month:,.2f} USD a month"
                yield f"{each.kind} {each.name}, {usd}, remove it with: {each.remove}"
        except (RedoxError, ClientError, BotoCoreError) as error:
            yield f"unknown, AWS does not answer: {error}"
