"""A real HTTP server of one model, with faults for tests of downloads."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cobra
import pytest

from redox_balancer.cell.fetch import Fetched, fetch_model
from redox_balancer.cell.models import load_model, save_model

FILE = "e_coli_core.json.gz"


@dataclass
class ModelServer:
    """The file that the server sends, its faults, and the ranges that were requested."""

    body: bytes
    address: str = ""
    etag: str | None = '"v1"'
    last_modified: str | None = None
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    seen: list[str | None] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.seen.append(wanted)
        if self.errors:
            request.send_error(self.errors.pop(0))
            return
        if not request.path.endswith(FILE):
            request.send_error(404)
            return
        start = 0
        validator = request.headers.get("If-Range")
        if self.ranges and wanted and validator in (self.etag, self.last_modified):
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert match
            start = int(match[1])
        if start >= len(self.body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.body)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if self.etag:
            request.send_header("ETag", self.etag)
        if self.last_modified:
            request.send_header("Last-Modified", self.last_modified)
        rest = self.body[start:]
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        request.wfile.write(rest[: self.cuts.pop(0)] if self.cuts else rest)


@pytest.fixture(scope="session")
def e_coli_core(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file in BiGG's layout, made from the copy that COBRApy carries."""
    source = Path(cobra.__file__).parent / "data" / "textbook.xml.gz"
    path = tmp_path_factory.mktemp("bigg") / FILE
    save_model(load_model(source).model, path)
    return path.read_bytes()


@pytest.fixture
def model_server(e_coli_core: bytes) -> Iterator[ModelServer]:
    state = ModelServer(e_coli_core)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *arguments: Any) -> None:
            del arguments

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state.address = f"http://127.0.0.1:{httpd.server_address[1]}/static/models"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state
        httpd.shutdown()
        thread.join()


def fetch_from(server: ModelServer, folder: Path, **options: Any) -> Fetched:
    return fetch_model("e_coli_core", mirror=server.address, folder=folder, wait_s=0.0, **options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
