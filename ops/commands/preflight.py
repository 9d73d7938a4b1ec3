"""`make preflight`: what a deployment needs and what is missing, before anything is made."""

from dataclasses import asdict

from ops.aws.readiness import requirements
from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import table

EXAMPLE = "Example: python -m ops preflight --json"


def preflight(session: Session) -> CommandResult:
    """List what a deployment needs: programs, login, rights, quota, zone and the rest; exit code 2 if any is missing.

    Nothing is changed, neither here nor at AWS.
    """
    found = list(requirements(session))
    missing = [each.what for each in found if each.state == "missing"]
    headings = dict.fromkeys(("what", "state", "found", "what to do"), "left")
    shown = table(headings, [(each.what, each.state, each.found, each.todo) for each in found])
    error = RedoxError(f"missing: {', '.join(missing)}", hint="the table says what to do") if missing else None
    return CommandResult({"requirements": [asdict(each) for each in found]}, shown, error=error)
