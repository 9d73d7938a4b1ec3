"""What every verb works with: the settings, what is deployed, clients of AWS, and whether anything may be changed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

if TYPE_CHECKING:
    from infra.deployed import Deployed
    from infra.settings import Settings
    from ops.remote.host import Connected, RemoteHost

# What operations of AWS that change nothing begin with; a dry run makes no other.
READING = ("Describe", "Get", "List", "Head", "Lookup")
# Lets us in for a minute to look; neither the account nor the host is another one for it.
LOOKING_IN = "SendSSHPublicKey"


@dataclass(frozen=True)
class Answer:
    """What a verb has to say.

    Attributes
    ----------
    data
        For `--json`.
    shown
        For people: a text or anything that rich prints.
    exit_code
        Not 0 where a script has to notice, although nothing failed.
    error
        What is wrong, where that is the answer: a script gets the data, a person the error, both its exit code.
    """

    data: Any
    shown: Any = None
    exit_code: int = 0
    error: RedoxError | None = None


class Session:
    """One call of one verb.

    Parameters
    ----------
    settings
        Of the deployment.
    dry_run
        Whether nothing may be changed; calls of AWS that would are refused even where a verb forgets to ask.
    """

    def __init__(self, settings: Settings, *, dry_run: bool = False) -> None:
        self.settings, self.dry_run = settings, dry_run
        self.closing = ExitStack()
        self._clients: dict[str, Any] = {}
        self._host: RemoteHost | None = None
        self._connected: Connected | None = None
        self._notes = notes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()

    def say(self, text: str) -> None:
        """Tell the user how it goes, on stderr."""
        self._notes.print(text, markup=False)

    def change(self, what: str) -> bool:
        """Announce a change; False in a dry run, where it must not be made.

        Parameters
        ----------
        what
            The change in the imperative: "stop i-0123".
        """
        self.say(f"would {what}" if self.dry_run else what)
        return not self.dry_run

    def client(self, service: str) -> Any:
        """Return a client of an AWS service in the region of the deployment."""
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    def _new_client(self, service: str) -> Any:
        import boto3  # noqa: PLC0415 - `--help` does without
        from botocore.config import Config  # noqa: PLC0415

        made = boto3.client(
            service,
            region_name=self.settings.aws.region,
            config=Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60),
        )
        if self.dry_run:
            made.meta.events.register("before-call", _refuse_changes)
        return made

    @cached_property
    def deployed(self) -> Deployed:
        """What is deployed; an error where nothing is."""
        from infra.deployed import find  # noqa: PLC0415 - loads boto3

        there = find(self.settings)
        if there is None:
            raise RedoxError("nothing is deployed", hint="make deploy")
        return there

    @property
    def host(self) -> str:
        """Instance id of the host; an error where there is none."""
        return self.deployed.host()

    def on_host(self) -> RemoteHost:
        """Return the host, connected to once; every way in which that fails is an error of one line."""
        if self._host is None:
            from ops.remote import instance  # noqa: PLC0415
            from ops.remote.host import Connected  # noqa: PLC0415 - loads Fabric

            instance.require_online(self)
            self._connected = self.closing.enter_context(Connected(self))
            self._host = self._connected.open()
        return self._host

    def hang_up(self) -> None:
        """End the connection to the host; `on_host` makes another."""
        if self._connected is not None:
            self._connected.close()
        self._host = self._connected = None

    def run_or_default(self, run: str | None) -> str:
        """Return the name of a run: the one given, else the settings'."""
        from infra.tables import RUN  # noqa: PLC0415

        chosen = run or self.settings.training.run
        if not RUN.fits(chosen):
            raise RedoxError(f"{chosen!r} cannot name a run", hint=f"take {RUN.wanted}")
        return chosen

    def run_url(self, run: str) -> str:
        """Return where a run lies in the bucket."""
        return f"s3://{self.deployed.bucket}/{self.settings.storage.run_key(run).rstrip('/')}"

    def confirm(self, given: str, wanted: str, what: str, again: str) -> None:
        """Go on only if the user names what is at stake by its id; a dry run goes on without.

        Parameters
        ----------
        given
            What an option said; empty asks on the terminal.
        wanted
            The id.
        what
            What happens to it: "this stops i-0123 and the training on it".
        again
            The command that answers by itself.
        """
        if self.dry_run:
            return
        self.say(what)
        answer = given or _asked(f"to go on, type {wanted}: ")
        if answer != wanted:
            raise RedoxError(f"{answer or 'nothing'} is not {wanted}: nothing was changed", hint=again)


def _refuse_changes(model: Any, **_: Any) -> None:
    if not model.name.startswith(READING) and model.name != LOOKING_IN:
        raise RuntimeError(f"a dry run wants to call {model.name}")


def _asked(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""
