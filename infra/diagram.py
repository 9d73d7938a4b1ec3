"""`make diagram`: draws the deployment from the templates; docs/deployment.md shows it.

A node is a resource type. An arrow means that one refers to another, directly or through resources that are not shown
(roles, routes).
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aws_cdk import App

from infra.names import STORAGE, TRAINING
from infra.settings import ROOT, Settings, load
from infra.stacks import build

PAGE = ROOT / "docs" / "deployment.md"
BLOCK = re.compile(r"(?<=<!-- made by make diagram -->\n```mermaid\n).*?(?=```)", flags=re.DOTALL)
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
    templates = _templates(settings)
    resources = {name: resource for stack in templates.values() for name, resource in stack["Resources"].items()}
    exports = {
        str(output["Export"]["Name"]): output["Value"]
        for stack in templates.values()
        for output in stack.get("Outputs", {}).values()
        if "Export" in output
    }
    lines = ["flowchart LR"]
    for stack, template in templates.items():
        lines.append(f'  subgraph {stack}["{TITLES[stack]}"]')
        kinds = dict.fromkeys(resource["Type"] for resource in template["Resources"].values())
        lines += [f'    {_node(kind)}["{_label(SHOWN[kind], resources)}"]' for kind in kinds if SHOWN.get(kind)]
        lines.append("  end")
    arrows = {
        (resources[name]["Type"], resources[other]["Type"])
        for name in resources
        if SHOWN.get(resources[name]["Type"])
        for other in _reached(name, resources, exports)
    }
    lines += [f"  {_node(kind)} --> {_node(other)}" for kind, other in sorted(arrows) if kind != other]
    return "\n".join(lines) + "\n"


def _templates(settings: Settings) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        app = App(outdir=folder, context=json.loads((ROOT / "cdk.json").read_text())["context"])
        build(app, settings)
        app.synth()
        return {stack: json.loads(Path(folder, f"{stack}.template.json").read_text()) for stack in TITLES}


def _node(kind: str) -> str:
    return kind.rpartition("::")[2]


def _label(text: str, resources: dict[str, Any]) -> str:
    """Fill in properties of the resources, written as {logical id.property}."""
    return re.sub(r"\{(\w+)\.(\w+)\}", lambda part: str(resources[part[1]]["Properties"][part[2]]), text)


def _reached(name: str, resources: dict[str, Any], exports: dict[str, Any]) -> Iterator[str]:
    """Yield the shown resources that a resource refers to, through those that are not shown."""
    seen, left = {name}, [name]
    while left:
        resource = resources[left.pop()]
        properties = resource.get("Properties", {})
        for other in _references(properties, exports):
            if other in seen or other not in resources:
                continue
            seen.add(other)
            if SHOWN.get(resources[other]["Type"]):
                yield other
            else:
                left.append(other)


def _references(value: Any, exports: dict[str, Any]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            elif key == "Fn::ImportValue":
                yield from _references(exports[inner], exports)
            else:
                yield from _references(inner, exports)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner, exports)


def main(arguments: list[str]) -> int:
    """Print the picture or put it into docs/deployment.md."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.diagram",
        description="Draw the deployment as Mermaid source.",
        epilog="Example: python -m infra.diagram --write",
    )
    parser.add_argument("--write", action="store_true", help="put it into docs/deployment.md")
    picture = draw(load())
    if parser.parse_args(arguments).write:
        PAGE.write_text(BLOCK.sub(lambda _: picture, PAGE.read_text()))
    else:
        sys.stdout.write(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
