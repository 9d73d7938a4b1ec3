"""The training image, built and pushed by CodeBuild: nothing is needed here but git."""

import subprocess
from typing import Any

from tenacity import Retrying, retry_if_result, wait_fixed

from infra.names import IMAGE_BUILD, IMAGE_SOURCE, LOG_GROUP
from infra.settings import ROOT
from ops.session import Session
from redox_balancer.errors import RedoxError

ASKED_EVERY_S = 5.0
LAST_LINES = 3
SOURCE = ROOT / "build" / "image-source.zip"


def build(session: Session) -> None:
    """Have the image of this clone built, tried out and pushed; a RedoxError with its last lines if that fails.

    An interrupted command stops the build.
    """
    answer = subprocess.check_output(["make", "--silent", "image-source"], cwd=ROOT, text=True)  # noqa: S607
    variables = [dict(zip(("name", "value"), line.split("=", 1), strict=True)) for line in answer.splitlines()]
    session.client("s3").put_object(Bucket=session.deployed.bucket, Key=IMAGE_SOURCE, Body=SOURCE.read_bytes())
    codebuild = session.client("codebuild")
    try:
        started = codebuild.start_build(projectName=IMAGE_BUILD, environmentVariablesOverride=variables)["build"]
    except codebuild.exceptions.ResourceNotFoundException as error:
        raise RedoxError(f"there is no project {IMAGE_BUILD} in CodeBuild", hint="make deploy") from error
    session.note(f"building in the cloud, {started['id']}; about ten minutes")
    try:
        ended = _ended(session, codebuild, started["id"])
    except KeyboardInterrupt:
        codebuild.stop_build(id=started["id"])
        raise
    if ended["buildStatus"] != "SUCCEEDED":
        raise RedoxError(
            f"the image cannot be built in the cloud: {_reason(session, ended)}",
            hint=f"the whole log is in CloudWatch, {LOG_GROUP}; nothing was pushed",
        )


def _ended(session: Session, codebuild: Any, name: str) -> dict[str, Any]:
    """Return a build once it has ended; each of its phases is noted."""
    phases: list[str] = []

    def ask() -> dict[str, Any]:
        (found,) = codebuild.batch_get_builds(ids=[name])["builds"]
        if (phase := found["currentPhase"]) not in phases:
            phases.append(phase)
            session.note(f"{name}: {phase.lower()}")
        return dict(found)

    waiting = Retrying(retry=retry_if_result(lambda each: not each["buildComplete"]), wait=wait_fixed(ASKED_EVERY_S))
    return dict(waiting(ask))


def _reason(session: Session, build: dict[str, Any]) -> str:
    """Return why a build failed: the last lines of its log, or what CodeBuild says of the phase."""
    stream = build.get("logs", {}).get("streamName")
    if stream:
        events = session.client("logs").get_log_events(
            logGroupName=LOG_GROUP, logStreamName=stream, limit=LAST_LINES, startFromHead=False
        )["events"]
        if events:
            return " | ".join(each["message"].strip() for each in events)
    said = [each["message"] for phase in build["phases"] for each in phase.get("contexts", ()) if each.get("message")]
    return said[-1] if said else str(build["buildStatus"])
