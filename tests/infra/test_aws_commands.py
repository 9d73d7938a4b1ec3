"""Commands of the AWS CLI that the settings and the pages show: each operation and option exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore import xform_name

from infra import quota
from infra.settings import FILE, ROOT, load

COMMAND = re.compile(r"\baws ([a-z0-9-]+) ([a-z]+(?:-[a-z]+)+)((?:(?!, )[^`;()\n])*)")
OF_THE_CLI = {"--region", "--query", "--output"}
ELSEWHERE = ("ssm start-session", "configure", "sso")  # its plugin's, and logging in


def shown() -> Iterator[tuple[str, str, str, str]]:
    settings = load()
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in [FILE, *(ROOT / "docs").glob("*.md")]}
    texts |= {
        "quota": quota.required(settings).request,
        "zone": quota.hint(settings, "no Spot capacity available"),
    }
    for where, text in texts.items():
        for service, operation, options in COMMAND.findall(text):
            if f"{service} {operation}" not in ELSEWHERE:
                yield where, service, operation, options


@pytest.mark.parametrize(("where", "service", "operation", "options"), list(shown()))
def test_a_command_that_is_shown_exists(where: str, service: str, operation: str, options: str) -> None:
    model = boto3.Session(region_name="us-east-1").client(service).meta.service_model
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    members = model.operation_model(operations[operation]).input_shape.members
    known = {f"--{xform_name(member, '-')}" for member in members} | OF_THE_CLI
    flags = {f"--no-{each[2:]}" for each in known}
    assert set(re.findall(r"--[a-z-]+", options)) <= known | flags, where


def test_the_recipe_of_the_pinned_image_finds_an_image_that_is_deprecated() -> None:
    recipes = [each for each in shown() if Path(each[0]) == Path("deploy.toml") and "AMI_NAME" in each[3]]
    assert [each[2] for each in recipes] == ["describe-images"]
    # Others than its owner see it by this only: docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deprecate.html
    assert "--include-deprecated" in recipes[0][3]
