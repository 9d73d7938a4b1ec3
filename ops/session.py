"""State of one command: the settings, the deployment, AWS clients, and whether anything may be changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.deployed import Deployed, find
from infra.settings import Settings
from infra.tables import RUN
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

# Prefixes of the AWS operations that change nothing; a dry run calls no others.
READ_ONLY = ("Describe", "Get", "List", "Head", "Lookup")
# Except for this one: it admits our key for a minute and leaves account and host as they are.
LOGIN = "SendSSHPublicKey"


@dataclass(frozen=True)
class CommandResult:
    """Result of a command.

    Attributes
    ----------
    data
        Printed with `--json`.
    shown
        Printed otherwise: text, or anything that rich renders.
    exit_code
        Not 0 where a script has to notice, although nothing failed.
    error
        A finding that is the result. It is raised after the data are printed and sets the exit code.
    """

    data: Any
    shown: Any = None
    exit_code: int = 0
    error: RedoxError | None = None


class Session:
    """One call of one command.

    Parameters
    ----------
    settings
        Settings of the deployment.
    dry_run
        Whether to change nothing. AWS operations that would are refused, even if a command does not check.
    """

    def __init__(self, settings: Settings, *, dry_run: bool = False) -> None:
        self.settings, self.dry_run = settings, dry_run
        self._clients: dict[str, Any] = {}
        self._notes = notes()

    def note(self, text: str) -> None:
        """Print a line about the progress to stderr."""
        self._notes.print(text, markup=False)

    def announce(self, change: str) -> bool:
        """Print a change that is about to be made and return whether to make it, which a dry run must not.

        Parameters
        ----------
        change
            The change in the imperative: "stop i-0123".
        """
        self.note(f"would {change}" if self.dry_run else change)
        return not self.dry_run

    def client(self, service: str) -> Any:
        """Return a client for an AWS service in the region of the deployment."""
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    def _new_client(self, service: str) -> Any:
        import boto3  # noqa: PLC0415 - not needed for `--help`
        from botocore.config import Config  # noqa: PLC0415

        client = boto3.client(
            service,
            region_name=self.settings.aws.region,
            config=Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60),
        )
        if self.dry_run:
            client.meta.events.register("before-call", _refuse_changes)
        return client

    @cached_property
    def deployed(self) -> Deployed:
        """The deployment.

        Raises
        ------
        RedoxError
            If nothing is deployed.
        """
        deployed = find(self.settings)
        if deployed is None:
            raise RedoxError("nothing is deployed", hint="make deploy")
        return deployed

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
        """Require the user to name the affected resource by its id; a dry run needs no confirmation.

        Parameters
        ----------
        given, expected
            The id given as an option, which is asked for on the terminal if empty, and the right one.
        consequence
            What is going to happen: "this stops i-0123 and the training on it".
        command
            The command that includes the confirmation, for the hint.
        """
        if self.dry_run:
            return
        self.note(consequence)
        answer = given or _input(f"type {expected} to continue: ")
        if answer != expected:
            raise RedoxError(f"{answer or 'nothing'} is not {expected}: nothing was changed", hint=command)


def _refuse_changes(model: Any, **_: Any) -> None:
    if not model.name.startswith(READ_ONLY) and model.name != LOGIN:
        raise RuntimeError(f"a dry run must not call {model.name}")


def _input(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""
