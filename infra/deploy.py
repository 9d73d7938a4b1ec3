"""`make deploy`: deploys both stacks, after checks that `cdk deploy` does not make."""

import argparse
import sys
from datetime import UTC, datetime
from functools import partial

from botocore.exceptions import ClientError

from infra.bring_up import upload
from infra.commands import run, say, without_snapshot
from infra.deployed import cdk, client, failures, find
from infra.images import take_before
from infra.names import AMI_ID, BUDGET_TAG
from infra.quota import hint
from infra.settings import Settings
from redox_balancer.errors import RedoxError


def deploy(settings: Settings, image: str, options: list[str], *, snapshot: bool = True) -> int:
    """Deploy both stacks and upload the setup of machines; a running host, which costs money, stays as it is.

    Hosts are made from `image` instead of the settings' own, empty for the latter; `options` are further ones of `cdk
    deploy`. A running host has an image taken before, unless `snapshot` is false.
    """
    for line in settings.unfinished:
        raise RedoxError(line, hint="plain `cdk deploy --all` skips this check")
    source = image or settings.host.ami_name
    say(f"hosts will be {settings.host.instance_types[0]} at {settings.price_of_host} from {source}")
    if snapshot:
        take_before(settings, find(settings), partial(client, settings))
    started = datetime.now(UTC)
    code = cdk(["deploy", "--all", *context(settings, image), *options])
    for reason in failures(settings, started) if code else ():
        if way_out := hint(settings, reason):
            raise RedoxError(reason, hint=way_out)
    if not code and (there := find(settings)) is not None:
        upload(settings, there, client(settings, "s3"))
        say("the setup of hosts is in the bucket; make train-remote starts a host")
    return code


def context(settings: Settings, image: str) -> list[str]:
    """Return options of the CDK with what the settings do not know: the image, and the tag of the budget."""
    tag, problem = budget_tag(settings)
    if problem:
        say(problem)
    chosen = {AMI_ID: image, BUDGET_TAG: tag}
    return [word for key, value in chosen.items() if value for word in ("-c", f"{key}={value}")]


def budget_tag(settings: Settings) -> tuple[str, str]:
    """Return the tag by which the budget counts this deployment, the first one; or empty, and why and what to do."""
    tag = next(iter(settings.tags), "")
    try:
        known = client(settings, "ce").list_cost_allocation_tags(TagKeys=[tag], Status="Active") if tag else {}
    except ClientError:  # no permission, or an account whose bill another one pays
        known = {}
    if known.get("CostAllocationTags"):
        return tag, ""
    return "", (
        f"the AWS budget counts the whole account: {tag or 'no tag'} is not active as a cost-allocation tag; "
        "a day after the first deployment: aws ce update-cost-allocation-tags-status "
        f"--cost-allocation-tags-status TagKey={tag},Status=Active, and make deploy again"
    )


def main(arguments: list[str]) -> int:
    """Deploy."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy",
        description="Deploy both stacks; everything that is not an option here goes to `cdk deploy`.",
        epilog="Example: python -m infra.deploy --image ami-0123456789abcdef0 --require-approval never",
    )
    parser.add_argument("--image", default="", help="image (AMI) that hosts are made from, instead of the settings'")
    without_snapshot(parser)
    asked, options = parser.parse_known_args(arguments)
    return run(partial(deploy, image=asked.image, options=options, snapshot=asked.snapshot))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
