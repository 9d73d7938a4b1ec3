"""Connecting to the host; imports Fabric only when a command does."""

from typing import TYPE_CHECKING

from ops.session import Session

if TYPE_CHECKING:
    from ops.remote.host import RemoteHost


def connect(session: Session) -> "RemoteHost":
    """Return the host of the deployment, for a `with` block; its first use opens the connection."""
    from ops.remote.host import RemoteHost  # noqa: PLC0415 - loads Fabric, which `--help` does not need

    return RemoteHost(session)
