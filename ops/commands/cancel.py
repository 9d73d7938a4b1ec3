"""`make cancel`: a job taken out of the queue."""

from typing import Annotated

import typer

from infra.machine.jobs import Job, Queue, change
from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops cancel --job tuesday"


def cancel(session: Session, *, job: Annotated[str, typer.Option(help="Run of the job.")]) -> CommandResult:
    """Take a waiting job out of the queue, or forget one that was set aside; what the run has in the bucket stays."""

    def taken_out(queue: Queue) -> None:
        if queue.active and queue.active.run == job:
            raise RedoxError(f"run {job} is the active one", hint="make stop OPS_OPTIONS=--keep-host ends it")
        before = len(queue.waiting) + len(queue.failed)
        queue.waiting, queue.failed = _without(queue.waiting, job), _without(queue.failed, job)
        if len(queue.waiting) + len(queue.failed) == before:
            raise RedoxError(f"there is no job {job}", hint="make queue lists them")

    taken_out(session.queue())
    if session.announce(f"take job {job} out of the queue"):
        change(session.bucket, taken_out)
    return CommandResult({"cancelled": job}, f"job {job} is out of the queue")


def _without(jobs: list[Job], run: str) -> list[Job]:
    return [each for each in jobs if each.run != run]
