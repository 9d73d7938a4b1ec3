"""`make diagram`: draws the deployment from the templates; docs/deployment.md shows it.

A node is a resource type. An arrow means that one refers to another, directly or through resources that are not shown
(roles, routes).
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from aws_cdk import App

from infra.names import STORAGE, TRAINING
from infra.settings import ROOT, Settings, load
from infra.stacks import build

PAGE = ROOT / "docs" / "deployment.md"
BLOCK = re.compile(r"(?<=<!-- made by make diagram -->\n```mermaid\n).*?(?=```)", flags=re.DOTALL)
REFERENCE = re.compile(r'"(Ref|Fn::GetAtt|Fn::ImportValue)": \[?"([^"]+)"')
TITLES = {STORAGE: "RedoxStorage: stays", TRAINING: "RedoxTraining: comes and goes"}
# Resource types that are shown, with their labels.
SHOWN = {
    "AWS::S3::Bucket": "bucket of checkpoints<br>versioned, TLS only",
    "AWS::ECR::Repository": "image repository",
    "AWS::EC2::VPC": "network<br>a public subnet in each zone",
    "AWS::EC2::SecurityGroup": "security group<br>no way in",
    "AWS::EC2::VPCEndpoint": "S3 endpoint",
    "AWS::Logs::LogGroup": "log",
    "AWS::SSM::Association": "CloudWatch agent",
    "AWS::CloudWatch::Alarm": "alarms: memory, idle CPU,<br>stale backup",
    "AWS::SNS::Topic": "e-mail",
    "AWS::Budgets::Budget": "monthly budget",
    "AWS::Lambda::Function": "guard: longest life, market,<br>images, failures, budget",
    "AWS::AutoScaling::ScalingPolicy": "end of an unused host",
    "AWS::AutoScaling::AutoScalingGroup": "group of one host<br>(and of its workers)",
}


def draw(settings: Settings) -> str:
    """Return the diagram as Mermaid source."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(outdir=folder, context=json.loads((ROOT / "cdk.json").read_text())["context"])
        build(app, settings)
        templates = {stack.stack_name: stack.template for stack in app.synth().stacks}
    resources = {name: resource for stack in templates.values() for name, resource in stack["Resources"].items()}
    outputs = [output for stack in templates.values() for output in stack.get("Outputs", {}).values()]
    exports = {output["Export"]["Name"]: output["Value"] for output in outputs if "Export" in output}
    lines = ["flowchart LR"]
    for stack, title in TITLES.items():
        lines.append(f'  subgraph {stack}["{title}"]')
        kinds = dict.fromkeys(resource["Type"] for resource in templates[stack]["Resources"].values())
        lines += [f'    {_node(kind)}["{SHOWN[kind]}"]' for kind in kinds if kind in SHOWN]
        lines.append("  end")
    arrows = {
        (resource["Type"], other)
        for resource in resources.values()
        if resource["Type"] in SHOWN
        for other in _reached(resource, resources, exports)
    }
    lines += [f"  {_node(kind)} --> {_node(other)}" for kind, other in sorted(arrows) if kind != other]
    return "\n".join(lines) + "\n"


def _node(kind: str) -> str:
    return kind.rpartition("::")[2]


def _reached(resource: dict[str, Any], resources: dict[str, Any], exports: dict[str, Any]) -> Iterator[str]:
    """Yield the shown types that a resource refers to, through those that are not shown."""
    for name in _references(resource.get("Properties"), exports):
        if name not in resources:  # a parameter of the stack, or of CloudFormation itself
            continue
        kind = resources[name]["Type"]
        yield from [kind] if kind in SHOWN else _reached(resources[name], resources, exports)


def _references(value: Any, exports: dict[str, Any]) -> Iterator[str]:
    for function, name in REFERENCE.findall(json.dumps(value)):
        yield from _references(exports[name], exports) if function == "Fn::ImportValue" else [name]


if __name__ == "__main__":
    picture = draw(load())
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(BLOCK.sub(lambda _: picture, PAGE.read_text()))
    else:
        sys.stdout.write(picture)
