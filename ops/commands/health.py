"""`make health`: what is wrong, for scripts."""

from __future__ import annotations

from ops import health as condition
from ops.options import RunName
from ops.session import Answer, Session

EXAMPLE = "Example: python -m ops health --run production --json"
UNHEALTHY = 1


def health(session: Session, *, run: RunName = None) -> Answer:
    """Say what is wrong with host and run, a line each; exit code 1 where something is.

    A run that is finished or was stopped is well, if the bucket has its last checkpoint.
    """
    found = condition.look(session, session.run_or_default(run))
    wrong = condition.problems(found, session.settings)
    data = {"healthy": not wrong, "problems": wrong, "run": found.run, "host": found.instance.instance_id}
    return Answer(data, "\n".join(wrong) or "healthy", UNHEALTHY if wrong else 0)
