"""`make health`: what is wrong with host and run, for scripts."""

from ops.health import check
from ops.remote.host import RemoteHost
from ops.session import CommandResult, RunName, Session

EXAMPLE = "Example: python -m ops health --run production --json"
UNHEALTHY = 1


def health(session: Session, *, run: RunName = None) -> CommandResult:
    """List what is wrong with host and run, one line each; exit code 1 if anything is.

    A run that has finished or was stopped is healthy if its last checkpoint is in the bucket.
    """
    with RemoteHost(session) as host:
        report = check(host, session.run_name(run))
    problems = report.problems(session.settings)
    data = {"healthy": not problems, "problems": problems, "run": report.run, "host": report.instance.instance_id}
    return CommandResult(data, "\n".join(problems) or "healthy", UNHEALTHY if problems else 0)
