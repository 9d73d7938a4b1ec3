"""A host behind a real sshd, and sessions that find it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment import assembly, cdk, cloud, settings_file
from fake_host import INSTANCE, FakeAws, Opened, settings
from infra.deployed import Deployed
from ops.session import Session
from s3_stand_in import moto_address, s3
from ssh_host import SshHost, ssh_host, why_not

__all__ = ["assembly", "cdk", "cloud", "moto_address", "s3", "settings_file"]


@pytest.fixture(scope="module")
def host_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    if why_not():
        pytest.skip(why_not() or "")
    with ssh_host(tmp_path_factory.mktemp("host"), INSTANCE) as host:
        yield host


@pytest.fixture
def host(host_process: SshHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SshHost:
    """The host as it is in order, and a user who never saw it."""
    host_process.gateway("works")
    host_process.refuse_all()
    for name, value in host_process.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return host_process


@pytest.fixture
def fake_aws(host: SshHost) -> FakeAws:
    return FakeAws(host)


@pytest.fixture
def opened(fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Open sessions that find the host."""
    there = Deployed(bucket="checkpoints", volume_id="vol-1", repository="repository", instance_id=INSTANCE)
    monkeypatch.setattr("infra.deployed.find", lambda _settings: there)
    sessions: list[Session] = []

    def open_session(*, dry_run: bool = False, **changes: str) -> Session:
        session = Session(settings(**changes), dry_run=dry_run)
        monkeypatch.setattr(session, "client", fake_aws.client)
        sessions.append(session)
        return session

    yield open_session
    for session in sessions:
        session.closing.close()
