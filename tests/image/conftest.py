"""An engine and the image, both once for all tests; without a running engine, tests are skipped with a reason.

With REDOX_ENGINE=required, as in CI, a missing engine fails.
"""

import os
from pathlib import Path

import docker
import pytest

from commands import ran
from containers import DOCKER, Engine
from infra.settings import ROOT, load


@pytest.fixture(scope="session")
def engine() -> Engine:
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        text = f"no Docker engine is running, so the container is not tested here ({error})"
        if os.environ.get("REDOX_ENGINE") == "required":
            pytest.fail(text)
        pytest.skip(text)
    without_outer_make = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    built = ran(["make", "-C", ROOT, "image", f"DOCKER={DOCKER}"], env=without_outer_make)
    assert built.returncode == 0, f"{built.stdout[-2000:]}\n{built.stderr[-4000:]}"
    return Engine(client, f"{load().container.image}:latest")


@pytest.fixture(scope="session")
def read_once(engine: Engine) -> Engine:
    """The engine after all files of the image were read.

    The page cache of a file is charged to the container that reads it first. Under memory pressure a container would
    evict and reread these pages for a long time before the kernel kills a process; here they belong to another one.
    """
    read = engine.run("shell", "-c", "find /opt/redox /usr -xdev -type f -exec cat {} + >/dev/null")
    assert read.returncode == 0, read.stderr
    return engine


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder for runs that the container's user can write."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder
