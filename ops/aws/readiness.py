"""What a deployment needs before anything is made, what was found of it, and what to do where it is missing."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from infra import quota
from infra.deployed import CDK
from infra.names import STORAGE
from infra.settings import FILE, ROOT
from ops.aws import programs
from ops.errors import translate_errors
from ops.session import Session
from redox_balancer.errors import RedoxError

POLICY = "infra/operator-policy.json"
BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"  # the CDK's own parameter

Answer = tuple[str, str]  # what was found, and what to do; nothing to do is good


@dataclass(frozen=True)
class Requirement:
    """Something that a deployment needs."""

    what: str
    state: Literal["ok", "missing", "unknown"]
    found: str
    todo: str  # where it is missing


def requirements(session: Session) -> Iterator[Requirement]:
    """Check everything; what AWS refuses to say is unknown, and the other checks go on."""
    for what, check in CHECKS.items():
        yield _checked(what, check, session)
    in_cloud = session.settings.container.image_build == "cloud"
    for name, program in programs.ALL.items():
        if in_cloud and name in programs.LOCAL_BUILD:
            continue
        found = programs.version(name)
        fits = found and int(found.split(".")[0]) >= program.oldest
        yield Requirement(name, "ok" if fits else "missing", found or "not installed", "" if fits else program.hint)


def _checked(what: str, check: Callable[[Session], Answer], session: Session) -> Requirement:
    try:
        found, todo = check(session)
    except Exception as error:
        known = error if isinstance(error, RedoxError) else translate_errors(error)
        if known is None:
            raise
        return Requirement(what, "missing" if check is _credentials else "unknown", known.message, known.hint)
    return Requirement(what, "missing" if todo else "ok", found, todo)


def _settings(session: Session) -> Answer:
    problems = "; ".join(session.settings.unfinished)
    return problems or FILE.name, f"edit {FILE.name}" if problems else ""


def _price(session: Session) -> Answer:
    settings = session.settings
    if settings.price_mismatch:
        return settings.price_of_host, f"set price.per_hour_usd in {FILE.name}, with its source"
    return f"{settings.price_of_host}; {settings.price.source}", ""


def _local(_session: Session) -> Answer:
    return (
        f"Python {sys.version.split()[0]}, {CDK.relative_to(ROOT)}",
        "" if CDK.exists() else "make synth installs it",
    )


def _credentials(session: Session) -> Answer:
    return session.client("sts").get_caller_identity()["Arn"], ""


def _rights(session: Session) -> Answer:
    """Ask IAM whether the caller may do what the operator's policy says."""
    identity = session.client("sts").get_caller_identity()
    arn, account, region = identity["Arn"], identity["Account"], session.settings.aws.region
    if ":assumed-role/" in arn:  # IAM knows the role, not its sessions
        arn = f"arn:aws:iam::{account}:role/{arn.split('/')[1]}"
    simulate = session.client("iam").get_paginator("simulate_principal_policy").paginate
    refused: list[str] = []
    for statement in json.loads((ROOT / POLICY).read_text())["Statement"]:
        actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
        conditions = statement.get("Condition", {}).get("StringEquals", {})
        pages = simulate(
            PolicySourceArn=arn,
            ActionNames=actions,
            ResourceArns=[_example(each, region, account) for each in resources],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in conditions.items()
            ],
        )
        results = [each for page in pages for each in page["EvaluationResults"]]
        # An action may support only some of the resources.
        allowed = {each["EvalActionName"] for each in results if each["EvalDecision"] == "allowed"}
        refused += [each for each in actions if each not in allowed]
    if refused:
        return f"may not {', '.join(refused)}", f"have an administrator attach {POLICY}"
    return "all of the operator's policy", ""


def _listed(given: str | list[str]) -> list[str]:
    return given if isinstance(given, list) else [given]


def _example(pattern: str, region: str, account: str) -> str:
    """Return an ARN that a pattern of the policy matches."""
    if pattern == "*":
        return pattern
    *head, where, owner, rest = pattern.split(":", 5)
    return ":".join([*head, where.replace("*", region), owner.replace("*", account), rest.replace("*", "x")])


def _quota(session: Session) -> Answer:
    found = quota.read(session.settings, session.client)
    text = f"{found.code} ({found.market} vCPUs) in {found.region}: need {found.need}, have {found.have}"
    return text, "" if found.enough else found.way


def _zones(session: Session) -> Answer:
    settings = session.settings
    kinds, zones = list(settings.host.instance_types), list(settings.aws.zones)
    filters = [{"Name": "instance-type", "Values": kinds}, {"Name": "location", "Values": zones}]
    asked = {"LocationType": "availability-zone", "Filters": filters}
    offers = session.client("ec2").describe_instance_type_offerings(**asked)["InstanceTypeOfferings"]
    found = sorted({each["Location"] for each in offers})
    if found:
        return f"{', '.join(found)} offer one of {', '.join(kinds)}", ""
    return f"none of {', '.join(zones)} offers one of {', '.join(kinds)}", quota.elsewhere(settings)


def _image(session: Session) -> Answer:
    image, region = session.settings.host.ami_id, session.settings.aws.region
    asked = [{"Name": "image-id", "Values": [image]}]
    found = session.client("ec2").describe_images(IncludeDeprecated=True, Filters=asked)["Images"]
    if found:
        return f"{image}, {found[0]['Name']}", ""
    return f"there is no {image} in {region}", f"{FILE.name} says how to find host.ami_id"


def _bootstrap(session: Session) -> Answer:
    ssm = session.client("ssm")
    try:
        return f"version {ssm.get_parameter(Name=BOOTSTRAP)['Parameter']['Value']}", ""
    except ssm.exceptions.ParameterNotFound:
        region = session.settings.aws.region
        return f"the CDK is not bootstrapped in {region}", "an administrator: node_modules/.bin/cdk bootstrap"


def _mail(session: Session) -> Answer:
    address = session.settings.guard.alert_email
    pages = session.client("sns").get_paginator("list_subscriptions").paginate()
    all_of_them = [each for page in pages for each in page["Subscriptions"] if each["Endpoint"] == address]
    ours = [each["SubscriptionArn"] for each in all_of_them if f":{STORAGE}-" in each["TopicArn"]]
    if "PendingConfirmation" in ours:
        return f"{address} is not confirmed", "follow the link in the mail of AWS Notifications"
    return f"{address} {'is confirmed' if ours else 'gets a mail at make deploy'}", ""


def _budget(session: Session) -> Answer:
    from infra.deploy import budget_tag  # noqa: PLC0415 - loads botocore, and `--help` does without

    tag, problem = budget_tag(session.settings)
    if problem:  # not missing: a tag can be activated a day after the first deployment only
        raise RedoxError(problem, hint="")
    return f"counts the tag {tag}", ""


CHECKS: dict[str, Callable[[Session], Answer]] = {
    "settings": _settings,
    "price": _price,
    "cdk": _local,
    "credentials": _credentials,
    "rights": _rights,
    "quota": _quota,
    "zones": _zones,
    "machine image": _image,
    "bootstrap": _bootstrap,
    "mail": _mail,
    "budget": _budget,
}
