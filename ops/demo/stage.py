"""What a simulated and a real account do differently while the story is told."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from infra.settings import Settings
from ops.demo.terminal import Terminal
from redox_balancer.runs.heartbeat import Heartbeat

RUN = "demo"


class Stage(Protocol):
    """An account with its hosts. Once it was entered, it is left whatever happens, and nothing runs any more."""

    settings: Settings
    timeout_s: float  # of every wait
    poll_s: float

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of all commands."""

    def client(self, service: str) -> Any:
        """Return a client of an AWS service, which the story itself uses."""

    def deploy(self, terminal: Terminal) -> None:
        """Check what a deployment needs, and deploy both stacks."""

    def image(self, terminal: Terminal) -> Sequence[str]:
        """Return the options of `train-remote` that name the image, once they can be used."""

    def heartbeat(self, host: str) -> Heartbeat | None:
        """Return the heartbeat of the run on a host; None if there is none."""

    def lose(self, host: str) -> str:
        """Lose a host, and return how."""

    def idle(self, host: str) -> None:
        """Let the time pass after which an idle host ends itself, as far as it need not be waited for."""

    def results(self) -> dict[str, Any]:
        """Return what was found, for the results of the story."""
