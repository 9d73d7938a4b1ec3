"""The synthesised templates, in this process, with the settings changed or a fault planted."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_cdk import App

from infra.settings import FILE, ROOT, parse
from infra.stacks import RedoxTraining, build
from infra.storage import RedoxStorage

CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]
Resource = dict[str, Any]
Plant = Callable[[RedoxStorage, RedoxTraining], None]

# As long as one of 3,072 bits, and as hard to compress.
KEY = base64.b64encode(b"".join(hashlib.sha256(bytes([part])).digest() for part in range(13))).decode().rstrip("=")

# Deployments that the settings allow, as changes of the file.
VARIANTS: dict[str, list[tuple[str, str]]] = {
    "default": [],
    "workers": [("workers = 0", "workers = 2")],
    "spot": [("spot = false", "spot = true")],
    "everything": [
        ("spot = false", "spot = true"),
        ("workers = 0", "workers = 9"),
        ('image_build = "here"', 'image_build = "cloud"'),
        ('ssh_public_key = ""', f'ssh_public_key = "ssh-rsa {KEY} somebody@somewhere"'),
    ],
    "elsewhere": [
        ("us-east-1", "eu-central-1"),
        ('runs = "experiments"', 'runs = "runs"'),
    ],
    "small": [
        ('["r7i.48xlarge", "r8i.48xlarge", "r7a.48xlarge"]', '["c7i.2xlarge"]'),
        ("of r7i.48xlarge on demand", "of c7i.2xlarge on demand"),  # the source of its price
        ('image_delivery = "repository"', 'image_delivery = "host"'),
    ],
}


@dataclass(frozen=True)
class Templates:
    """The templates of both stacks, and their folder."""

    storage: dict[str, Any]
    training: dict[str, Any]
    folder: Path

    def of_type(self, kind: str) -> list[Resource]:
        """Return all resources of a type, of both stacks."""
        return [resource for _, resource in self.resources() if resource["Type"] == kind]

    def one(self, kind: str) -> Resource:
        """Return the properties of the only resource of a type."""
        (resource,) = self.of_type(kind)
        return resource["Properties"]

    def resources(self) -> Iterator[tuple[str, Resource]]:
        """Yield all resources with their logical ids."""
        yield from self.storage["Resources"].items()
        yield from self.training["Resources"].items()

    def statements(self) -> Iterator[tuple[str, Resource]]:
        """Yield every statement of every policy of a role, with the logical id of the policy."""
        for name, resource in self.resources():
            if resource["Type"] == "AWS::IAM::Policy":
                for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                    yield name, statement


def synthesise(
    folder: Path, changes: list[tuple[str, str]], *, plant: Plant | None = None, context: dict[str, str] | None = None
) -> Templates:
    """Synthesise into a folder; a finding of cdk-nag is a RuntimeError."""
    text = FILE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    app = App(outdir=str(folder), context={**CONTEXT, **(context or {})})
    stacks = build(app, parse(text))
    if plant:
        plant(*stacks)
    app.synth()
    storage, training = (json.loads((folder / f"{stack.stack_name}.template.json").read_text()) for stack in stacks)
    return Templates(storage, training, folder)


def flat(value: Any) -> str:
    """Return a value of a template as text, without the functions around its parts."""
    if isinstance(value, dict):
        return "".join(map(flat, value.values()))
    if isinstance(value, list):
        return "".join(map(flat, value))
    return str(value)
