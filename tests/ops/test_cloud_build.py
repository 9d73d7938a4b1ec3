"""An image that CodeBuild builds, on simulated AWS, which runs the project's commands in the source of this tree.

Doubles: its engine and the AWS CLI, as the simulation has no engine and no registry behind its ECR; and pip, which
would download 420 MB of wheels.
"""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import stacks
from commands import ran
from fake_host import settings
from infra.cloud_build import SMOKE_S
from infra.names import IMAGE_BUILD, STORAGE
from infra.settings import ROOT
from ops.remote import cloud_build, image
from ops.session import Session
from ops.simulator.aws import StandIn, stand_in
from ops.simulator.permissions import BUILDER
from ops.simulator.policies import Request, allowing, listed
from redox_balancer.errors import RedoxError
from rights import PULL, PUSH, REPOSITORY
from templates import Templates, synthesise
from waiting import wait_until

CLOUD = [('image_build = "here"', 'image_build = "cloud"')]
# Where a file asks for it, the smoke test fails, or `docker build` waits for its end.
DOCKER = """\
#!{python}
import json, os, sys, time, boto3
with open("{folder}/docker.log", "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
if sys.argv[1] == "login":
    assert sys.stdin.read()
if sys.argv[1] == "build" and os.path.exists("{folder}/waits"):
    open("{folder}/waiting", "w").close()
    time.sleep(600)
if sys.argv[1] == "run" and os.path.exists("{folder}/fails"):
    sys.exit("no checkpoint was written")
if sys.argv[1] == "push":
    repository, _, tag = sys.argv[2].rpartition(":")
    manifest = '{{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}}'
    boto3.client("ecr").put_image(repositoryName=repository.partition("/")[2], imageManifest=manifest, imageTag=tag)
"""
# `make image` requires that a wheel of torch without CUDA was downloaded.
PYTHON = """\
#!{python}
import os, pathlib, sys
if sys.argv[1:] != ["-m", "venv", ".venv"]:
    os.execv("{python}", ["{python}", *sys.argv[1:]])
pip = pathlib.Path(".venv/bin/pip")
pip.parent.mkdir(parents=True)
pip.write_text("#!/bin/sh\\ntouch build/wheelhouse/torch-2+cpu-any.whl\\n")
pip.chmod(0o755)
"""
BUILDS = """\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background ignores
from infra.settings import load
from ops.remote import cloud_build
from ops.session import Session
cloud_build.build(Session(load()))
"""
AWS = """\
#!{python}
import base64, boto3
(found,) = boto3.client("ecr").get_authorization_token()["authorizationData"]
print(base64.b64decode(found["authorizationToken"]).decode().partition(":")[2])
"""


@dataclass
class Builder:
    """Simulated AWS with the storage stack, and the programs of its builds."""

    aws: StandIn
    folder: Path

    def commands(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "docker.log").read_text().splitlines()]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return synthesise(tmp_path_factory.mktemp("cloud"), CLOUD)


@pytest.fixture(scope="module")
def builder(cloud: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    programs = tmp_path_factory.mktemp("programs")
    for name, text in (("docker", DOCKER), ("aws", AWS), ("python3", PYTHON)):
        (programs / name).write_text(text.format(python=sys.executable, folder=programs))
        (programs / name).chmod(stat.S_IRWXU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        with stand_in(tmp_path_factory.mktemp("aws")) as aws:
            stacks.create(aws, cloud, [STORAGE])
            yield Builder(aws, programs)
            assert aws.hidden_failures() == []


@pytest.fixture
def session(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> Session:
    for name, value in builder.aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cloud_build, "ASKED_EVERY_S", 0.05)
    for each in ("docker.log", "fails", "waits", "waiting"):
        (builder.folder / each).unlink(missing_ok=True)
    return Session(settings(image_build='"cloud"'))


def test_nothing_of_it_is_deployed_unless_it_is_asked_for(cloud: Templates, tmp_path: Path) -> None:
    assert cloud.one("AWS::CodeBuild::Project")["Name"] == IMAGE_BUILD
    assert synthesise(tmp_path, []).of_type("AWS::CodeBuild::Project") == []
    with pytest.raises(Exception, match=r"then container\.image_delivery must be repository"):
        settings(image_build='"cloud"', image_delivery='"host"')


def test_the_build_may_read_its_source_and_push_and_no_more(cloud: Templates) -> None:
    actions: set[str] = set()
    for name, statement in cloud.statements():
        if name.startswith("ImageBuild"):
            actions |= set(listed(statement["Action"]))
            assert statement["Resource"] != "*" or statement["Action"] == "ecr:GetAuthorizationToken"
    assert {each for each in actions if not each.startswith("ecr:")} == {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:GetBucketAcl",
        "s3:GetBucketLocation",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_the_image_of_this_tree_is_built_tried_out_and_pushed_once(session: Session, builder: Builder) -> None:
    name, repository = image.name_of_clone(), session.deployed.repository
    target = f"{repository}:{name.rpartition(':')[2]}"
    for _ in range(2):
        assert image.provide(session) == target
    build, inspect, run, login, tag, push = builder.commands()
    assert build[-1] == "."
    assert name in build
    assert f"COMMIT={ran(['git', 'rev-parse', 'HEAD'], cwd=ROOT).stdout.strip()}" in " ".join(build)
    assert inspect[:2] == ["image", "inspect"]
    assert (run[:3], run[-3:]) == (["run", "--rm", "--network=none"], [name, "smoke", str(SMOKE_S)])
    assert "--cap-drop=ALL" in run
    assert login == ["login", "--username", "AWS", "--password-stdin", repository.partition("/")[0]]
    assert (tag, push) == (["tag", name, target], ["push", target])
    for line in builder.aws.unused_statements(BUILDER):  # but for the layers, which the double has none of
        statement = json.loads(line.partition(" ")[2])
        assert any(allowing([statement], Request(f"ecr:{each}", REPOSITORY)) for each in (*PUSH, *PULL)) or set(
            listed(statement["Action"])
        ) == {"s3:GetBucketAcl", "s3:GetBucketLocation"}, line


def test_an_image_that_does_not_train_is_not_pushed_and_its_log_is_shown(
    session: Session, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "name_of_clone", lambda: "redox-balancer:another")
    (builder.folder / "fails").touch()
    with pytest.raises(RedoxError, match=r"cannot be built in the cloud: .*no checkpoint was written$") as refused:
        image.provide(session)
    assert "nothing was pushed" in refused.value.hint
    assert builder.commands()[-1][0] == "run"


@pytest.mark.usefixtures("session")
def test_an_interrupted_command_stops_the_build(builder: Builder) -> None:
    (builder.folder / "waits").touch()
    with subprocess.Popen([sys.executable, "-c", BUILDS], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: process.poll() is not None or (builder.folder / "waiting").exists())
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate()[1]
    codebuild = builder.aws.client("codebuild")
    (last,) = codebuild.batch_get_builds(ids=[codebuild.list_builds()["ids"][-1]])["builds"]
    assert (last["buildStatus"], last["buildComplete"]) == ("STOPPED", True)


def test_a_deployment_without_the_project_is_named(session: Session, builder: Builder) -> None:
    builder.aws.client("codebuild").delete_project(name=IMAGE_BUILD)
    with pytest.raises(RedoxError, match="no project redox-image") as refused:
        cloud_build.build(session)
    assert refused.value.hint == "make deploy"
