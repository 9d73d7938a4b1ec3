"""A host behind a real sshd, and sessions that reach it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deployment import assembly, cdk, cloud, settings_file
from fake_host import INSTANCE, FakeAws, Objects, OpenSession, ReachHost, settings
from ops.remote.host import RemoteHost
from ops.session import Session
from s3_stand_in import moto_address, s3
from ssh_host import SshHost, ssh_host, why_not
from training_host import bucket, interruptible, train, training_host

__all__ = [
    "assembly",
    "bucket",
    "cdk",
    "cloud",
    "interruptible",
    "moto_address",
    "s3",
    "settings_file",
    "train",
    "training_host",
]


@pytest.fixture(scope="module")
def host_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    if why_not():
        pytest.skip(why_not() or "")
    with ssh_host(tmp_path_factory.mktemp("host"), INSTANCE) as host:
        yield host


@pytest.fixture
def host(host_process: SshHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SshHost:
    """The host in working order, and a user who has never connected to it."""
    host_process.gateway("works")
    host_process.refuse_all()
    for name, value in host_process.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return host_process


@pytest.fixture
def fake_aws(host: SshHost, moto_address: tuple[str, int]) -> FakeAws:
    return FakeAws(host, Objects("http://{}:{}".format(*moto_address)))


@pytest.fixture
def open_session(fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> OpenSession:
    """Open sessions whose deployment is the host."""
    monkeypatch.setattr(
        "ops.session.find", lambda _settings: fake_aws.deploys() if fake_aws.deploys else fake_aws.deployed
    )

    def opened(*, dry_run: bool = False, **changes: str) -> Session:
        session = Session(settings(**changes), dry_run=dry_run)
        monkeypatch.setattr(session, "client", fake_aws.client)
        return session

    return opened


@pytest.fixture
def reach(open_session: OpenSession) -> Iterator[ReachHost]:
    """Connect to the host as the commands do; every connection is closed at the end."""
    with ExitStack() as closing:

        def reached(*, dry_run: bool = False, **changes: str) -> RemoteHost:
            return closing.enter_context(RemoteHost(open_session(dry_run=dry_run, **changes)))

        yield reached
