"""State of one command: the settings, the deployment, AWS clients, and whether anything may be changed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer

from infra.bucket import OperatorBucket
from infra.commands import require_confirmation
from infra.deployed import Deployed, client, find
from infra.machine import contract
from infra.machine.jobs import Job, Queue
from infra.settings import Settings
from infra.tables import RUN
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

# Prefixes of the AWS operations that change nothing; a dry run calls no others.
READ_ONLY = ("Describe", "Get", "List", "Head", "Lookup", "Simulate")
# Except for this one: it admits our key for a minute and leaves account and host as they are.
LOGIN = "SendSSHPublicKey"


@dataclass(frozen=True)
class CommandResult:
    """Result of a command."""

    data: Any  # printed with `--json`
    shown: Any = None  # printed otherwise: text, or anything that rich renders
    exit_code: int = 0  # not 0 where a script has to notice, although nothing failed
    error: RedoxError | None = None  # a finding that is the result, raised after the data are printed


class Session:
    """One call of one command.

    In a dry run, AWS operations that change something are refused, even if a command does not check.
    """

    def __init__(self, settings: Settings, *, dry_run: bool = False) -> None:
        self.settings, self.dry_run = settings, dry_run
        self._clients: dict[str, Any] = {}
        self._notes = notes()

    def note(self, text: str) -> None:
        """Print a line about the progress to stderr."""
        self._notes.print(text, markup=False)

    def announce(self, change: str) -> bool:
        """Print a change, in the imperative ("stop i-0123"), and return whether to make it: a dry run must not."""
        self.note(f"would {change}" if self.dry_run else change)
        return not self.dry_run

    def client(self, service: str) -> Any:
        """Return a client for an AWS service in the region of the deployment."""
        if service in self._clients:
            return self._clients[service]
        from botocore.config import Config  # noqa: PLC0415 - not needed for `--help`

        config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
        found = self._clients[service] = client(self.settings, service, config=config)
        if self.dry_run:
            found.meta.events.register("before-call", _refuse_changes)
        return found

    @cached_property
    def deployed(self) -> Deployed:
        """The deployment; a RedoxError if nothing is deployed."""
        deployed = find(self.settings)
        if deployed is None:
            raise RedoxError("nothing is deployed", hint="make deploy")
        return deployed

    def forget_deployed(self) -> None:
        """Query the deployment again at its next use: its group may have replaced the host."""
        self.__dict__.pop("deployed", None)

    @property
    def bucket(self) -> OperatorBucket:
        """The bucket of the deployment."""
        return OperatorBucket(self.client("s3"), self.deployed.bucket)

    def queue(self) -> Queue:
        """Return the queue of jobs as it is now; a RedoxError if it is damaged."""
        try:
            return Queue.of(self.bucket.get(contract.QUEUE))
        except OSError as error:
            raise RedoxError(str(error), hint="the bucket keeps its earlier versions for a month") from error

    def reason(self, job: Job) -> str:
        """Return why a job was set aside, and where its log is."""
        return f"{job.outcome}: " + (f"s3://{self.deployed.bucket}/{job.log}" if job.log else "it has no log")

    @property
    def instance_id(self) -> str:
        """Instance id of the training host; a RedoxError if there is none."""
        return self.deployed.host()

    def run_name(self, run: str | None) -> str:
        """Return the given name of a run, or the one of the settings; a RedoxError if it is not valid."""
        name = run or self.settings.training.run
        if not RUN.fits(name):
            raise RedoxError(f"{name!r} is not a valid name for a run", hint=f"use {RUN.wanted}")
        return name

    def run_url(self, run: str) -> str:
        """Return the S3 address of a run."""
        return f"s3://{self.deployed.bucket}/{self.settings.storage.run_key(run).rstrip('/')}"

    def confirm(self, given: str, expected: str, consequence: str, command: str) -> None:
        """Say what is going to happen and require a confirmation, which a dry run does not need.

        `consequence` is like "this stops i-0123 and the training on it"; the others as for `require_confirmation`.
        """
        if self.dry_run:
            return
        self.note(consequence)
        require_confirmation(given, expected, command)


def _refuse_changes(model: Any, **_: Any) -> None:
    if not model.name.startswith(READ_ONLY) and model.name != LOGIN:
        raise RuntimeError(f"a dry run must not call {model.name}")


RunName = Annotated[str | None, typer.Option("--run", help="Name of the run; by default, that of the settings.")]
HostId = Annotated[str, typer.Option("--instance", help="Id of the host, to confirm; asked for if not given.")]
