"""Simulated container engine of a host: the part of Docker's API that this deployment needs, on /run/docker.sock.

An image is its build context with the settings of its Dockerfile; the packages that the Dockerfile installs come from
the Python environment that runs this program. A container is its entrypoint in its own namespaces (`container.sh`).
"""

from __future__ import annotations

import json
import os
import re
import signal
import socketserver
import subprocess
import threading
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ops.simulator.guest.containers import HOME_IN, RUNNING, SimulatedContainer
from ops.simulator.guest.images import ApiError, SimulatedImages

SOCKET = Path("/run/docker.sock")
STDOUT = 1


class Engine:
    """Images and containers."""

    def __init__(self) -> None:
        self.images, self.containers = SimulatedImages(), dict[str, SimulatedContainer]()
        self.commands: dict[str, tuple[SimulatedContainer, list[str]]] = {}
        self.codes: dict[str, int] = {}
        RUNNING.mkdir(exist_ok=True)
        for each in ("app", "venv"):
            (HOME_IN / each).mkdir(parents=True, exist_ok=True)

    def container(self, name: str) -> SimulatedContainer:
        """Return a container by its name or id."""
        for each in self.containers.values():
            if name in (each.name, each.id) or (len(name) >= 12 and each.id.startswith(name)):
                return each
        raise ApiError(404, f"No such container: {name}")

    def create(self, name: str, config: dict[str, Any]) -> SimulatedContainer:
        """Create a container without starting it."""
        if any(each.name == name for each in self.containers.values()):
            raise ApiError(409, f'Conflict. The container name "/{name}" is already in use')
        made = SimulatedContainer(name, config, self.images.find(config["Image"]))
        self.containers[made.id] = made
        return made

    def start(self, container: SimulatedContainer) -> None:
        """Start a container."""
        container.start()
        if container.host_config.get("AutoRemove"):
            threading.Thread(target=self._remove_at_end, args=[container], daemon=True).start()

    def _remove_at_end(self, container: SimulatedContainer) -> None:
        container.ended.wait()
        self.containers.pop(container.id, None)

    def remove(self, container: SimulatedContainer, *, force: bool) -> None:
        """Remove a container."""
        if container.pid and not force:
            raise ApiError(409, f"container {container.name} is running: stop it first, or force it")
        if container.process:
            container.signal(signal.SIGKILL)
            container.ended.wait()
        self.containers.pop(container.id, None)


class Handler(BaseHTTPRequestHandler):
    """Handles one request; the routes are those of Docker's API."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def address_string(self) -> str:
        """Return a constant: clients of a socket have no address."""
        return "socket"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _any(self) -> None:
        split = urlsplit(self.path)
        path = re.sub(r"^/v[\d.]+", "", unquote(split.path))
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        query["tags"] = parse_qs(split.query).get("t", [])  # type: ignore[assignment]
        try:
            for method, pattern, answer in ROUTES:
                if method == self.command and (found := re.fullmatch(pattern, path)):
                    answer(self, query, *found.groups())
                    return
            raise ApiError(404, f"not simulated: {self.command} {path}")  # noqa: TRY301
        except ApiError as error:
            self.respond({"message": str(error)}, error.code)

    do_GET = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815 - called by the server

    def body(self) -> bytes:
        """Return the body of the request."""
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def respond(self, data: Any, code: int = 200) -> None:
        """Send a JSON response, or an empty one."""
        content = b"" if data is None else json.dumps(data).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Api-Version", "1.43")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def start_stream(self, kind: str) -> None:
        """Start a response that lasts until the connection is closed."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def frame(self, data: bytes) -> None:
        """Send output in a frame of Docker's stream format."""
        self.wfile.write(bytes([STDOUT, 0, 0, 0]) + len(data).to_bytes(4, "big") + data)
        self.wfile.flush()


def _ping(call: Handler, _query: Any) -> None:
    call.send_response(200)
    call.send_header("Api-Version", "1.43")
    call.send_header("Content-Length", "2")
    call.end_headers()
    if call.command != "HEAD":
        call.wfile.write(b"OK")


def _version(call: Handler, _query: Any) -> None:
    versions = {"Version": "stand-in", "ApiVersion": "1.43", "MinAPIVersion": "1.24"}
    call.respond({**versions, "Os": "linux", "Arch": "amd64"})


def _build(call: Handler, query: Any) -> None:
    image = call.engine.images.build(call.body(), query["tags"], json.loads(query.get("buildargs", "{}")))
    call.start_stream("application/json")
    short = image["Id"].removeprefix("sha256:")[:12]
    for line in (*(f"Successfully tagged {tag}\n" for tag in image["RepoTags"]), f"Successfully built {short}\n"):
        call.wfile.write(json.dumps({"stream": line}).encode() + b"\r\n")


def _tag(call: Handler, query: Any, name: str) -> None:
    call.engine.images.tag(name, f"{query['repo']}:{query.get('tag', 'latest')}")
    call.respond(None, 201)


def _create(call: Handler, query: Any) -> None:
    made = call.engine.create(query.get("name") or uuid.uuid4().hex[:12], json.loads(call.body()))
    call.respond({"Id": made.id, "Warnings": []}, 201)


def _start(call: Handler, _query: Any, name: str) -> None:
    call.engine.start(call.engine.container(name))
    call.respond(None, 204)


def _wait(call: Handler, _query: Any, name: str) -> None:
    container = call.engine.container(name)
    container.ended.wait()
    call.respond({"StatusCode": container.code})


def _stop(call: Handler, query: Any, name: str) -> None:
    call.engine.container(name).stop(float(query.get("t", 10)))
    call.respond(None, 204)


def _kill(call: Handler, query: Any, name: str) -> None:
    wanted = query.get("signal", "SIGKILL")
    known = signal.Signals[f"SIG{wanted.removeprefix('SIG')}"] if not wanted.isdigit() else int(wanted)
    call.engine.container(name).signal(known)
    call.respond(None, 204)


def _remove(call: Handler, query: Any, name: str) -> None:
    call.engine.remove(call.engine.container(name), force=query.get("force", "").lower() in ("1", "true"))
    call.respond(None, 204)


def _list(call: Handler, query: Any) -> None:
    everything = query.get("all", "").lower() in ("1", "true")
    found = [each.inspect() for each in call.engine.containers.values() if everything or each.pid]
    call.respond([each | {"Names": [each["Name"]], "State": each["State"]["Status"]} for each in found])


def _logs(call: Handler, query: Any, name: str) -> None:
    container = call.engine.container(name)
    follow, tail = query.get("follow", "").lower() in ("1", "true"), query.get("tail", "all")
    call.start_stream("application/vnd.docker.multiplexed-stream")
    with container.log.open("rb") as log:
        text = log.read()
        lines = text.splitlines(keepends=True)
        text = text if tail == "all" else b"".join(lines[len(lines) - min(int(tail), len(lines)) :])
        ended = False
        while True:
            if text:
                call.frame(text)
            if not follow or ended:
                return
            ended = container.ended.wait(0.0 if text else 0.1)  # read once more after its end
            text = log.read()


def _prepare(call: Handler, _query: Any, name: str) -> None:
    container, made = call.engine.container(name), uuid.uuid4().hex
    if not container.pid:
        raise ApiError(409, f"container {name} is not running")
    call.engine.commands[made] = (container, json.loads(call.body())["Cmd"])
    call.respond({"Id": made}, 201)


def _execute(call: Handler, _query: Any, made: str) -> None:
    call.body()
    container, command = call.engine.commands[made]
    known = Path(f"/proc/{container.pid}/environ").read_bytes().split(b"\0")
    environment = dict(os.fsdecode(each).partition("=")[::2] for each in known if each)
    call.start_stream("application/vnd.docker.raw-stream")
    with subprocess.Popen(
        [*container.enter(), *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout  # noqa: S101 - a pipe
        while data := os.read(process.stdout.fileno(), 65_536):
            call.frame(data)
    call.engine.codes[made] = process.returncode


def _executed(call: Handler, _query: Any, made: str) -> None:
    call.respond({"ID": made, "Running": made not in call.engine.codes, "ExitCode": call.engine.codes.get(made)})


NAME = r"([\w./:@-]+?)"
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/_ping", _ping),
    ("HEAD", "/_ping", _ping),
    ("GET", "/version", _version),
    ("POST", "/build", _build),
    ("GET", "/images/json", lambda call, _: call.respond(call.engine.images.all())),
    ("GET", f"/images/{NAME}/json", lambda call, _, name: call.respond(call.engine.images.find(name))),
    ("POST", f"/images/{NAME}/tag", _tag),
    ("GET", "/containers/json", _list),
    ("POST", "/containers/create", _create),
    ("GET", f"/containers/{NAME}/json", lambda call, _, name: call.respond(call.engine.container(name).inspect())),
    ("POST", f"/containers/{NAME}/start", _start),
    ("POST", f"/containers/{NAME}/wait", _wait),
    ("POST", f"/containers/{NAME}/stop", _stop),
    ("POST", f"/containers/{NAME}/kill", _kill),
    ("DELETE", f"/containers/{NAME}", _remove),
    ("GET", f"/containers/{NAME}/logs", _logs),
    ("POST", f"/containers/{NAME}/exec", _prepare),
    ("POST", r"/exec/(\w+)/start", _execute),
    ("GET", r"/exec/(\w+)/json", _executed),
]


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """An HTTP server on a Unix socket."""

    daemon_threads = True


if __name__ == "__main__":
    SOCKET.unlink(missing_ok=True)
    Handler.engine = Engine()
    with Server(str(SOCKET), Handler) as server:
        server.serve_forever()
