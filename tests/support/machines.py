"""A machine to set up: a distribution in a folder, with its real package manager, shell and Python.

Debian, because Ubuntu's packages are not available everywhere; both have what the bring-up uses. Only systemd, which
would need to be process 1, and AWS's metadata service are stand-ins.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SUITE = "bookworm"
# Packages that Ubuntu's server image has and a minimal Debian lacks, and systemd to verify units.
INCLUDED = "ca-certificates,curl,python3,systemd"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CALLS = "systemctl.log"
STUB = f"""#!/bin/sh
echo "$(basename "$0") $*" >>/var/log/{CALLS}
! grep -qxs -- "$1" /run/stub-fails
"""


def why_not() -> str | None:
    """Return why a machine in a folder is not possible here; None if it is."""
    if not hasattr(os, "geteuid") or os.geteuid():
        return "a machine in a folder needs root on Linux"
    return (
        None if shutil.which("mmdebstrap") else "a machine in a folder needs mmdebstrap (apt-get install mmdebstrap)"
    )


@dataclass
class Chroot:
    """A machine in a folder; its mounts are in a namespace of their own and disappear with it."""

    root: Path
    namespace: subprocess.Popen[bytes]  # the process whose mounts it has

    def run(self, *command: object, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return subprocess.run(
            self.words(*command), capture_output=True, text=True, check=False, env=self.env(environment)
        )

    def words(self, *command: object) -> list[str]:
        """Return the command line that runs a command in it."""
        enter = ["nsenter", f"--mount=/proc/{self.namespace.pid}/ns/mnt", "chroot", str(self.root)]
        return [*enter, *map(str, command)]

    @staticmethod
    def env(more: Mapping[str, str] | None) -> dict[str, str]:
        """Return the environment of a service, and the proxies of this machine."""
        proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **proxies, **(more or {})}

    def outside(self, path: str) -> str:
        """Return the content of a file of the machine, including its mounts."""
        return self.run("cat", path).stdout

    def calls(self) -> list[str]:
        """Return the calls of systemctl, shutdown and wall."""
        return (self.root / "var/log" / CALLS).read_text().splitlines()

    def tree(self) -> dict[str, tuple[Any, ...]]:
        """Return kind, mode, owner and content of every file except logs and virtual file systems."""
        found: dict[str, tuple[Any, ...]] = {}
        for folder, names, files in os.walk(self.root):
            here = Path(folder)
            if here == self.root:
                names[:] = [name for name in names if name not in ("proc", "sys", "dev", "run", "tmp")]
            for path in (here / name for name in [*names, *files]):
                if path.name in ("redox.log", CALLS):
                    continue
                status = path.lstat()
                content = (
                    path.readlink() if path.is_symlink() else _digest(path) if stat.S_ISREG(status.st_mode) else None
                )
                key = str(path.relative_to(self.root))
                found[key] = (stat.filemode(status.st_mode), status.st_uid, status.st_gid, content)
        return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def machine(folder: Path) -> Iterator[Chroot]:
    """Create a machine."""
    root = folder / "root"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={INCLUDED}"]
    subprocess.run([*command, SUITE, root], check=True)
    _stub(root)
    with ExitStack() as stack:
        namespace = subprocess.Popen(["unshare", "--mount", "--propagation=private", "sleep", "infinity"])
        stack.callback(namespace.wait)
        stack.callback(namespace.kill)
        _enter(namespace)
        made = Chroot(root, namespace)
        assert made.run("mount", "-t", "proc", "proc", "/proc").returncode == 0
        yield made


def _enter(namespace: subprocess.Popen[bytes]) -> None:
    """Wait until the process has its own mount namespace."""
    ours = Path("/proc/self/ns/mnt").readlink()
    while Path(f"/proc/{namespace.pid}/ns/mnt").readlink() == ours:
        assert namespace.poll() is None


def _stub(root: Path) -> None:
    for name in ("systemctl", "shutdown", "wall"):
        path = root / "usr/local/sbin" / name
        path.write_text(STUB)
        path.chmod(0o755)
    (root / "var/log" / CALLS).touch()
    # Without systemd, no package may start a service.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    for name in ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt"):
        with suppress(FileNotFoundError):
            shutil.copy(f"/{name}", root / name)


@dataclass
class Metadata:
    """Answers of the metadata service by path."""

    answers: dict[str, str] = field(default_factory=dict)
    address: str = ""


@contextmanager
def metadata_service(instance_id: str) -> Iterator[Metadata]:
    """Run a metadata service, version 2 only."""
    credentials = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": "of-the-role",
        "SecretAccessKey": "secret",
        "Token": "token",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    role = "iam/security-credentials/"
    state = Metadata({"instance-id": instance_id, role: "host", f"{role}host": json.dumps(credentials)})

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/latest/api/token":
                self._answer(200, "a-token")
            else:
                self._answer(404, "")

        def do_GET(self) -> None:
            path = self.path.removeprefix("/latest/meta-data/")
            if self.headers.get("X-aws-ec2-metadata-token") != "a-token":
                self._answer(401, "")
            elif path in state.answers:
                self._answer(200, state.answers[path])
            else:
                self._answer(404, "")

        def _answer(self, code: int, text: str) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
