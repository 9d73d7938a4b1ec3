"""Containers of the simulated engine: an entrypoint in namespaces of its own, see `container.sh`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.simulator.guest.images import IMAGES

RUNNING = Path("/run/containers")
PROGRAMS = Path(__file__).parent
HOME_IN = Path("/opt/redox")
TMP = "/tmp"  # noqa: S108 - that of a container
DEFAULT_SHARE = 0.5  # of the memory: default size of a tmpfs
HEALTH_START_S = 180.0
CLOUD = ("AWS_", "NO_PROXY")  # a real container has these from the metadata service of its host


def limit(host_config: dict[str, Any], name: str) -> str:
    """Return a limit of a container's configuration; 0 if it is not set."""
    found = [each["Hard"] for each in host_config.get("Ulimits") or [] if each["Name"] == name]
    return str(found[0] if found else 0)


@dataclass
class SimulatedContainer:
    """A container.

    Attributes
    ----------
    name
        Its name.
    config
        The request it was created with.
    image
        Its image.
    process
        The process that waits for its end.
    """

    name: str
    config: dict[str, Any]
    image: dict[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex * 2)
    process: subprocess.Popen[bytes] | None = None
    created_at: float = field(default_factory=time.time)
    started_at: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def log(self) -> Path:
        """File of its output."""
        return RUNNING / f"{self.id}.log"

    @property
    def host_config(self) -> dict[str, Any]:
        """Its limits and mounts."""
        found: dict[str, Any] = self.config.get("HostConfig") or {}
        return found

    def start(self) -> None:
        """Start it."""
        pairs = [*self.image["Config"]["Env"], *(self.config.get("Env") or [])]
        environment = {name: value for name, value in os.environ.items() if name.startswith(CLOUD)}
        environment |= dict(pair.partition("=")[::2] for pair in pairs)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        tmp = re.search(r"size=(\d+)", (self.host_config.get("Tmpfs") or {}).get(TMP, ""))
        environment |= {
            "IMAGE": str(IMAGES / self.image["Id"].removeprefix("sha256:")),
            "VENV": str(Path(os.environ["PYTHON"]).parents[1]),
            "HOME_IN": str(HOME_IN),
            "TMP_BYTES": tmp[1] if tmp else str(int(memory * DEFAULT_SHARE)),
            "SHM_BYTES": str(self.host_config.get("ShmSize") or int(memory * DEFAULT_SHARE)),
            "NOFILE": limit(self.host_config, "nofile"),
            "NPROC": limit(self.host_config, "nproc"),
            "BINDS": "\n".join(self.host_config.get("Binds") or []),
        }
        space = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
        self.started_at = time.time()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*space, "bash", str(PROGRAMS / "container.sh"), *(self.config.get("Cmd") or [])],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        assert self.process  # noqa: S101 - it was started
        self.process.wait()
        self.ended.set()

    @property
    def pid(self) -> int:
        """Its first process; 0 if it is not running."""
        if self.process is None or self.ended.is_set():
            return 0
        with suppress(OSError):
            pid = self.process.pid
            return int((Path(f"/proc/{pid}/task/{pid}/children").read_text().split() or ["0"])[0])
        return 0

    @property
    def code(self) -> int:
        """Its exit code."""
        code = self.process.returncode if self.process else 0
        return (code or 0) if (code or 0) >= 0 else 128 - (code or 0)

    def signal(self, number: int) -> None:
        """Send a signal to its first process."""
        if pid := self.pid:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, seconds: float) -> None:
        """End it with SIGTERM, and with SIGKILL after a time limit, s."""
        self.signal(signal.SIGTERM)
        if not self.ended.wait(seconds):
            self.signal(signal.SIGKILL)
            self.ended.wait()

    def enter(self) -> list[str]:
        """Return the command that runs another one in it."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd"]

    def health(self) -> str:
        """Run its health check and return its health status."""
        check = subprocess.run(
            [*self.enter(), "bash", str(IMAGES / self.image["Id"].removeprefix("sha256:") / "docker/healthcheck.sh")],
            capture_output=True,
            check=False,
        )
        young = time.time() - self.started_at < HEALTH_START_S
        return "healthy" if check.returncode == 0 else "starting" if young else "unhealthy"

    def inspect(self) -> dict[str, Any]:
        """Return the answer of `docker inspect`."""
        running = bool(self.process) and not self.ended.is_set()
        started = time.strftime("%FT%T.000000000Z", time.gmtime(self.started_at))
        state: dict[str, Any] = {
            "Status": "running" if running else "exited" if self.process else "created",
            "Running": running,
            "Pid": self.pid,
            "ExitCode": 0 if running else self.code,
            "StartedAt": started,
        }
        if running:
            state["Health"] = {"Status": self.health()}
        return {
            "Id": self.id,
            "Name": f"/{self.name}",
            "Created": time.strftime("%FT%TZ", time.gmtime(self.created_at)),
            "Image": self.image["Id"],
            "State": state,
            "Config": {
                "Image": self.config["Image"],
                "Tty": False,
                "Cmd": self.config.get("Cmd"),
                "Env": [*self.image["Config"]["Env"], *(self.config.get("Env") or [])],
                "Labels": self.image["Config"]["Labels"],
            },
            "HostConfig": self.host_config | {"LogConfig": {"Type": "local", "Config": {}}},
        }
