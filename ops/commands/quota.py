"""`make quota`: whether the account may have a host of this size, before anything is asked for."""

from __future__ import annotations

from dataclasses import asdict

from infra import quota as vcpus
from ops.session import Answer, Session

EXAMPLE = "Example: python -m ops quota --json"


def check(session: Session) -> vcpus.Quota:
    """Return the quota; an error that says how to raise it where it is too small."""
    return vcpus.check(session.settings, session.client)


def quota(session: Session) -> Answer:
    """Compare the account's quota of vCPUs with what the host needs; exit code 2 where it is too small."""
    found = vcpus.read(session.settings, session.client)
    data = {**asdict(found), "enough": found.enough, "console": found.console, "request": found.request}
    text = f"{found.code} ({found.market} vCPUs): need {found.need}, have {found.have}"
    return Answer(data, text, error=vcpus.refusal(session.settings, found))
