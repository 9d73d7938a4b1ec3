"""`make quota`: whether the account's quota allows a host of this size, before any instance is requested."""

from dataclasses import asdict

from infra.quota import read, refusal
from ops.session import CommandResult, Session

EXAMPLE = "Example: python -m ops quota --json"


def quota(session: Session) -> CommandResult:
    """Compare the account's vCPU quota with what the host needs; exit code 2 if it is too small."""
    found = read(session.settings, session.client)
    data = {**asdict(found), "enough": found.enough, "console": found.console, "request": found.request}
    text = f"{found.code} ({found.market} vCPUs): need {found.need}, have {found.have}"
    return CommandResult(data, text, error=refusal(session.settings, found))
