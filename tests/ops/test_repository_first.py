"""The image is in the repository before anything costs money, and what is there is neither built nor pushed again."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_host import FakeAws, OpenSession
from infra.deployed import Deployed
from infra.settings import ROOT
from ops.remote import image
from ops.session import Session
from ops.simulator.aws import ACCOUNT, StandIn, stand_in
from redox_balancer.errors import RedoxError
from training_host import Train

REPOSITORY, NAME = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/images", "images"
MANIFEST = '{{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "of": "{}"}}'


class Engine:
    """This machine's engine; its push ends in the repository of the stand-in, or with an error of the registry."""

    def __init__(self, ecr: Any) -> None:
        self.ecr, self.images, self.error, self.pushed = ecr, self, "", list[str]()

    def get(self, name: str) -> "Engine":
        self.built = name
        return self

    def tag(self, repository: str, tag: str) -> None:
        assert (repository, tag) == (REPOSITORY, self.built.partition(":")[2])

    def push(self, repository: str, *, tag: str, auth_config: dict[str, str], **_: Any) -> Iterator[dict[str, str]]:
        assert repository == REPOSITORY
        assert auth_config["username"] == "AWS"
        if self.error:
            yield {"error": self.error}
            return
        self.pushed.append(tag)
        self.ecr.put_image(repositoryName=NAME, imageManifest=MANIFEST.format(tag), imageTag=tag)
        yield {"status": "Pushed"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("aws")) as server:
        server.client("ecr").create_repository(repositoryName=NAME)
        yield server


@pytest.fixture
def engine(aws: StandIn, monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(aws.client("ecr"))
    monkeypatch.setattr(image, "_engine", lambda: made)
    return made


@pytest.fixture
def session(open_session: OpenSession, aws: StandIn, monkeypatch: pytest.MonkeyPatch) -> Session:
    opened = open_session()
    opened.deployed = Deployed(bucket="b", repository=REPOSITORY, wanted=0)
    monkeypatch.setattr(opened, "client", aws.client)
    return opened


def provide(session: Session, monkeypatch: pytest.MonkeyPatch, tag: str, *, builds: bool) -> str:
    built: list[str] = []
    monkeypatch.setattr(image, "name_of_clone", lambda: f"redox-balancer:{tag}")
    monkeypatch.setattr(image, "build", lambda _session: built.append(tag) or f"redox-balancer:{tag}")
    name = image.provide(session)
    assert bool(built) is builds
    return name


def current(engine: Engine) -> str:
    (found,) = engine.ecr.batch_get_image(repositoryName=NAME, imageIds=[{"imageTag": "latest"}])["images"]
    return str(found["imageManifest"])


def test_an_image_is_pushed_once_and_the_current_tag_follows(
    session: Session, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag, builds in (("one", True), ("one", False), ("two", True), ("one", False)):
        assert provide(session, monkeypatch, tag, builds=builds) == f"{REPOSITORY}:{tag}"
        assert current(engine) == MANIFEST.format(tag)
    assert engine.pushed == ["one", "two"]


def test_a_push_that_the_registry_refuses_is_one_line_with_the_way_around(
    session: Session, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.error = "denied: not authorized to perform: ecr:InitiateLayerUpload"
    with pytest.raises(RedoxError, match=r":refused cannot be pushed: denied: not authorized") as refused:
        provide(session, monkeypatch, "refused", builds=True)
    assert 'image_delivery = "host"' in refused.value.hint


def test_a_stopped_host_is_started_after_the_push(
    train: Train, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_aws.state = "stopped"
    seen: list[bool] = []

    def refuse(_session: Session) -> str:
        seen.append("start_instances" in fake_aws.calls)
        raise RedoxError("the image cannot be built", hint="")

    monkeypatch.setattr(image, "provide", refuse)
    with pytest.raises(RedoxError, match="cannot be built"):
        train(remote_image="", delivery="repository")
    assert seen == [False]
    assert "start_instances" not in fake_aws.calls


def test_the_tag_of_a_tree_with_changes_is_that_of_its_content(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=tmp_path, check=True)

    def name() -> str:
        command = ["make", "--silent", "--file", str(ROOT / "Makefile"), "image-name"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    (tmp_path / "deploy.toml").write_text('image = "trial"\n')
    for each in ("app/a.py", "docker/b.sh", "Dockerfile"):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_text("1\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    clean = name()
    (tmp_path / "app/new.py").write_text("1\n")  # which git does not know, and the image contains
    first = name()
    (tmp_path / "app/new.py").write_text("2\n")
    second = name()
    assert len({clean, first, second}) == 3
    assert first.startswith(f"{clean}-dirty-")
    assert second == name()
    (tmp_path / "app/new.py").unlink()
    (tmp_path / "README.md").write_text("not of the image\n")
    assert name() == clean
