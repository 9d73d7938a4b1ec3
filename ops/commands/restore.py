"""`make restore`: hosts made from an image from now on, and the present one replaced by one made from it."""

import importlib.util
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from infra import quota
from infra.deployed import CDK, describe_instance
from infra.settings import ROOT, Settings
from ops.aws import instance
from ops.aws.backups import image_to_restore
from ops.remote.training import end_training
from ops.session import CommandResult, HostId, Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import age_text

EXAMPLE = "Example: python -m ops restore --image ami-0123456789abcdef0 --instance i-0123456789abcdef0"


def restore(
    session: Session,
    *,
    image: Annotated[str, typer.Option(help="Image of a host; by default, the newest available one.")] = "",
    instance_id: HostId = "",
    anew: Annotated[bool, typer.Option("--anew", help="Replace even a host that was made from that image.")] = False,
    snapshot: Annotated[bool, typer.Option(help="Take an image of the present host first.")] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the new host is set up.")] = True,
    run: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> CommandResult:
    """Make hosts from an image from now on, and replace the present one, whose run its successor goes on with.

    Without a host, the next one is made from it. `make deploy` returns to the image of the settings.
    """
    started = time.monotonic()
    if run is not None:
        session.note("--run chooses nothing any more: the new host goes on with the active run")
    # Everything that can be wrong is checked before anything is changed.
    _require_deployable(session.settings)
    quota.check(session.settings, session.client)
    chosen, host = image_to_restore(session, image), session.deployed.instance_id
    session.note(f"image {chosen.image_id}, {age_text(chosen.age_s)} old")
    made_from = describe_instance(session.client("ec2"), host).get("ImageId") if host else None
    if made_from == chosen.image_id and not anew:
        session.note(f"{host} was made from {chosen.image_id}: keeping it; --anew replaces it")
        host = None
    if host:
        consequence = f"this ends {host}, and its group makes a new one; a training saves first"
        session.confirm(instance_id, host, consequence, f"python -m ops restore --instance {host}")
    if session.announce(f"deploy: hosts are made from {chosen.image_id}"):
        options = ("--image", chosen.image_id, "--require-approval", "never", "--method", "direct")
        _deploy(options if snapshot else ("--no-snapshot", *options))
    if host:
        _replace(session, host, wait=wait)
    data: dict[str, Any] = {
        "image": {**asdict(chosen), "age_s": chosen.age_s},
        "replaced": host,
        "host": session.deployed.instance_id if wait and not session.dry_run else None,
        "seconds": time.monotonic() - started,
    }
    now = "the next host will be, too"
    if host and wait:
        now = f"{data['host']} was made from it in {data['seconds']:.0f} s"
    return CommandResult(data, None if session.dry_run else f"hosts are made from {chosen.image_id}; {now}")


def _replace(session: Session, host: str, *, wait: bool) -> None:
    """End a host, whose training saves, and wait for the one that its group makes in its place if asked to."""
    end_training(session)
    if not session.announce(f"terminate {host}, which its group replaces"):
        return
    session.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=host, ShouldDecrementDesiredCapacity=False
    )
    if not wait:
        return
    session.note("waiting until the new host is set up and can be reached")
    instance.wait_until_set_up(session)


def _require_deployable(settings: Settings) -> None:
    """Raise a RedoxError if a deployment is not possible from this machine."""
    for line in settings.unfinished:
        raise RedoxError(line, hint="a restore deploys, which make deploy would refuse")
    if not CDK.exists() or importlib.util.find_spec("aws_cdk") is None:
        raise RedoxError(
            "the CDK is not installed, and a restore deploys with it", hint="make setup, then make synth"
        )


def _deploy(options: tuple[str, ...]) -> None:
    """Run `python -m infra.deploy` in a process of its own: only this step needs the CDK's libraries."""
    line = [sys.executable, "-m", "infra.deploy", *options]
    # stdout is for our own result.
    code = subprocess.run(line, cwd=ROOT, stdout=sys.stderr, check=False).returncode  # noqa: S603 - our own
    if code:
        raise RedoxError(
            f"python -m infra.deploy failed with exit code {code}; see its output above",
            hint="fix that and start the restore again; the present host was left as it is",
        )
