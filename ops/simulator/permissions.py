"""Checks each call of operator and host against their policies, as AWS would; what is not allowed is a broken rule.

The actions, resources and condition keys of a call are those of the Service Authorization Reference:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from infra.settings import ROOT
from ops.simulator.policies import Request, Statement, allowing, listed
from ops.simulator.rules import BROKEN, account, replace

# Their access keys; others are AWS itself, the CDK's roles, or an administrator.
OPERATOR, HOST, FUNCTION, BUILDER = "operator", "host", "function", "builder"
ROLES = {HOST: "HostRole", FUNCTION: "GuardRole", BUILDER: "ImageBuildRole"}  # in the names of theirs
OPERATOR_POLICY = ROOT / "infra" / "operator-policy.json"
KNOWN, USED = "known: ", "used: "  # prefixes of log lines with a statement: of a policy, and at its first use
REGION, ACCOUNT = "us-east-1", "123456789012"  # those of the simulator
Parameters = Mapping[str, Any]

# Where the ARNs of a call's resources are found: a template, and the parameter with the names in it.
IN_EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
GROUPS = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:id:autoScalingGroupName"
RESOURCES: dict[str, list[tuple[str, str]]] = {
    "autoscaling:SetDesiredCapacity": [(f"{GROUPS}/{{}}", "AutoScalingGroupName")],
    "autoscaling:UpdateAutoScalingGroup": [(f"{GROUPS}/{{}}", "AutoScalingGroupName")],
    "autoscaling:TerminateInstanceInAutoScalingGroup": [(f"{GROUPS}/{{}}", "AutoScalingGroupName")],
    "cloudformation": [(f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{{}}/id", "StackName")],
    "codebuild": [(f"arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{{}}", "projectName")],
    "ec2:CreateImage": [
        (f"{IN_EC2}:instance/{{}}", "InstanceId"),
        *((f"arn:aws:ec2:{REGION}::{kind}/new", "") for kind in ("image", "snapshot")),
    ],
    "ec2:DeregisterImage": [(f"arn:aws:ec2:{REGION}::image/{{}}", "ImageId")],
    "ec2:GetConsoleOutput": [(f"{IN_EC2}:instance/{{}}", "InstanceId")],
    "ec2:StopInstances": [(f"{IN_EC2}:instance/{{}}", "InstanceId.1")],
    "ec2:TerminateInstances": [(f"{IN_EC2}:instance/{{}}", "InstanceId.1")],
    "ec2-instance-connect:SendSSHPublicKey": [(f"{IN_EC2}:instance/{{}}", "InstanceId")],
    "ecr": [(f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{{}}", "repositoryName")],
    "logs": [(f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}", "logStream")],
    "sns:Publish": [("{}", "TopicArn")],
    "ssm:GetParameter": [(f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{{}}", "Name")],
    "ssm:SendCommand": [
        (f"{IN_EC2}:instance/{{}}", "InstanceIds"),
        (f"arn:aws:ssm:{REGION}::document/{{}}", "DocumentName"),
    ],
    "ssm:StartSession": [
        (f"{IN_EC2}:instance/{{}}", "Target"),
        (f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/{{}}", "DocumentName"),
    ],
    "sts:AssumeRole": [("{}", "RoleArn")],
}
KEYS = {  # condition keys from parameters
    "cloudwatch:namespace": "Namespace",
    "ec2:osuser": "InstanceOSUser",
}
OPEN = ("sts:GetCallerIdentity",)  # need no permission
S3 = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}


def requests(service: str, operation: str, parameters: Parameters) -> Iterator[Request]:
    """Yield what a call has to be allowed; one whose resources are not known here needs `*`."""
    action = f"{service}:{operation}"
    if service == "s3":
        yield _of_s3(*operation.split(" ", 1))
        return
    if operation == "TerminateInstanceInAutoScalingGroup":  # which names the instance
        group = _tags_of(parameters["InstanceId"]).get("aws:autoscaling:groupName", "")
        parameters = {**parameters, "AutoScalingGroupName": group}
    if service == "codebuild" and (builds := parameters.get("ids", parameters.get("id"))):  # which name their project
        parameters = {**parameters, "projectName": listed(builds)[0].partition(":")[0]}
    if service == "logs" and (stream := parameters.get("logStreamName")):
        parameters = {**parameters, "logStream": f"{parameters['logGroupName']}:log-stream:{stream}"}
    context: dict[str, Any] = {key: parameters[name] for key, name in KEYS.items() if name in parameters}
    tags = _tags_of_query(parameters)
    requested = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    known = RESOURCES.get(action) or RESOURCES.get(service, [])
    names = [
        (template.format(name), str(name))
        for template, key in known
        for name in (listed(parameters[key]) if key in parameters else [""] if not key else [])
    ]
    for resource, name in names or [("*", "")]:
        tagged = {f"aws:ResourceTag/{key}": value for key, value in _tags_of(name).items()}
        # A resource that is being made has the tags of the request.
        yield Request(action, resource, context | (requested if resource.endswith("/new") else tagged))
        if resource.endswith("/new") and tags:
            yield Request("ec2:CreateTags", resource, requested | {"ec2:CreateAction": operation})
    if parameters.get("DeleteAssociatedSnapshots") == "true":
        for snapshot in _snapshots_of(parameters["ImageId"]):
            tagged = {f"aws:ResourceTag/{key}": value for key, value in _tags_of(snapshot).items()}
            yield Request("ec2:DeleteSnapshot", f"arn:aws:ec2:{REGION}::snapshot/{snapshot}", tagged)
    for role in [value for key, value in parameters.items() if key in ("RoleARN", "IamInstanceProfile.Arn")]:
        yield Request("iam:PassRole", str(role), {"iam:PassedToService": f"{service}.amazonaws.com"})


def _of_s3(method: str, path: str) -> Request:
    where, _, query = path.partition("?")
    bucket, _, key = urllib.parse.unquote(where).lstrip("/").partition("/")
    asked = urllib.parse.parse_qs(query, keep_blank_values=True)
    if key:
        version = "Version" * (method == "GET" and "versionId" in asked)
        return Request(f"s3:{S3[method]}{version}", f"arn:aws:s3:::{bucket}/{key}")
    action = "ListBucketVersions" if "versions" in asked else "ListBucket"
    return Request(f"s3:{action}", f"arn:aws:s3:::{bucket}", {"s3:prefix": asked.get("prefix", [""])})


def _tags_of_query(parameters: Parameters) -> dict[str, str]:
    keys = [name for name in parameters if re.fullmatch(r"TagSpecification\.\d+\.Tag\.\d+\.Key", name)]
    return {parameters[name]: parameters[name.removesuffix("Key") + "Value"] for name in keys}


def _tags_of(name: str) -> dict[str, str]:
    """Return the tags of a resource of EC2."""
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - needed by the server only

    found = ec2_backends[ACCOUNT][REGION].describe_tags(filters={"resource-id": [name]}) if name else []
    return {tag["key"]: tag["value"] for tag in found}


def _snapshots_of(image: str) -> list[str]:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - as above

    found = ec2_backends[ACCOUNT][REGION].amis.get(image)
    return [found.ebs_snapshot.id] if found else []


class Permissions:
    """The policies of operator, host and function; which statements were used."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, principal: str, service: str, operation: str, parameters: Parameters) -> Iterator[str]:
        """Yield the new lines of the log about a call: a broken rule for each request that is not allowed."""
        if principal not in (OPERATOR, *ROLES) or f"{service}:{operation}" in OPEN:
            return
        statements = operators_statements() if principal == OPERATOR else statements_of(ROLES[principal])
        lines = [f"{KNOWN}{principal} {json.dumps(each)}" for each in statements]
        for request in requests(service, operation, parameters):
            found = allowing(statements, request)
            lines += [f"{USED}{principal} {json.dumps(statements[at])}" for at in found]
            if not found:
                yield f"{BROKEN}{principal} is not authorized to perform: {request}, {dict(request.context)}"
        yield from (line for line in lines if line not in self._seen)
        self._seen.update(lines)


@cache
def operators_statements() -> list[Statement]:
    """Return the statements of the operator's policy."""
    return list(json.loads(Path(OPERATOR_POLICY).read_text())["Statement"])


def statements_of(name: str) -> list[Statement]:
    """Return the statements of the deployed role with this part in its name, with the ARNs that it got."""
    from moto.iam.models import iam_backends  # noqa: PLC0415 - needed by the server only

    roles = iam_backends[ACCOUNT]["aws"].roles.values()
    documents = [text for role in roles if name in role.name for text in role.policies.values()]
    return [each for text in documents for each in json.loads(text)["Statement"]]


def simulate_rights() -> None:
    """Simulate the operator's policy, whoever is asked about; moto simulates none."""
    from moto.core.responses import ActionResult  # noqa: PLC0415
    from moto.iam.responses import IamResponse  # noqa: PLC0415

    def simulate(self: Any) -> Any:
        keys = {each["ContextKeyName"]: each["ContextKeyValues"] for each in self._get_param("ContextEntries") or []}
        asked = [
            Request(action, resource, keys)
            for action in self._get_param("ActionNames")
            for resource in self._get_param("ResourceArns")
        ]
        results = [
            {
                "EvalActionName": each.action,
                "EvalResourceName": each.resource,
                "EvalDecision": "allowed" if allowing(operators_statements(), each) else "implicitDeny",
            }
            for each in asked
            if each.action not in account().get("refused_actions", ())
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})

    replace(IamResponse, simulate_principal_policy=simulate)
