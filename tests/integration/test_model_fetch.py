from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commands import assert_refused, redox
from redox_balancer.cell.download import download
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.fetch import Fetched, fetch_model, load_catalogue, sha256_of
from redox_balancer.errors import RedoxError

FILE = "e_coli_core.json.gz"


@dataclass
class Server:
    """A real HTTP server of one file, and how it behaves."""

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


@pytest.fixture
def server(e_coli_core: bytes) -> Iterator[Server]:
    state = Server(e_coli_core)

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


def fetch(server: Server, folder: Path, **options: Any) -> Fetched:
    return fetch_model("e_coli_core", mirror=server.address, folder=folder, wait_s=0.0, **options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_model_is_downloaded_checked_and_pinned(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str | int | None, ...]] = []
    fetched = fetch(server, tmp_path, progress=lambda *step: seen.append(step))
    assert fetched.new
    assert fetched.path.read_bytes() == server.body
    assert fetched.sha256 == hashlib.sha256(server.body).hexdigest()
    assert (fetched.content.reactions, fetched.content.metabolites, fetched.content.genes) == (95, 72, 137)
    assert fetched.content.optimum == pytest.approx(0.8739215, rel=1e-6)
    assert seen[-2:] == [
        ("downloading e_coli_core.json.gz", len(server.body), len(server.body)),
        ("checking e_coli_core",),
    ]
    assert names(tmp_path) == {FILE, "pins.json"}
    assert json.loads((tmp_path / "pins.json").read_text())["e_coli_core"]["sha256"] == fetched.sha256


def test_what_is_pinned_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    first = fetch(server, tmp_path)
    again = fetch(server, tmp_path)
    assert not again.new
    assert (again.path, again.sha256, again.content) == (first.path, first.sha256, first.content)
    assert len(server.seen) == 1


def test_a_cut_connection_is_resumed_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cuts = [3000, 2000]
    fetched = fetch(server, tmp_path)
    assert fetched.path.read_bytes() == server.body
    assert server.seen == [None, "bytes=3000-", "bytes=5000-"]


def test_a_later_call_goes_on_from_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.cuts = [1000] * 4
    with pytest.raises(RedoxError, match="failed") as caught:
        fetch(server, tmp_path)
    assert "the download resumes" in caught.value.hint
    assert names(tmp_path) == {"e_coli_core.part.json.gz", "e_coli_core.part.json.gz.json"}
    fetched = fetch(server, tmp_path)
    assert server.seen[-1] == "bytes=4000-"
    assert fetched.path.read_bytes() == server.body
    assert names(tmp_path) == {FILE, "pins.json"}


def test_resuming_works_with_a_date_in_place_of_an_etag(server: Server, tmp_path: Path) -> None:
    server.etag, server.last_modified = 'W/"weak"', "Mon, 01 Jan 2018 00:00:00 GMT"
    server.cuts = [3000]
    assert fetch(server, tmp_path).path.read_bytes() == server.body
    assert server.seen == [None, "bytes=3000-"]


def test_a_file_that_changed_between_two_attempts_is_downloaded_whole(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    server.cuts = [1000] * 4
    with pytest.raises(RedoxError):
        download(f"{server.address}/{FILE}", part, wait_s=0.0)
    server.body, server.etag, server.cuts = server.body[::-1], '"v2"', []
    download(f"{server.address}/{FILE}", part, wait_s=0.0)
    assert part.read_bytes() == server.body


def test_a_server_without_ranges_sends_the_file_from_the_start(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cuts = [3000]
    assert fetch(server, tmp_path).path.read_bytes() == server.body
    assert server.seen == [None, "bytes=3000-"]


def test_without_a_validator_nothing_is_pieced_together(server: Server, tmp_path: Path) -> None:
    server.etag = None
    server.cuts = [3000]
    assert fetch(server, tmp_path).path.read_bytes() == server.body
    assert server.seen == [None, None]


def test_a_part_that_is_whole_already_is_taken(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    download(f"{server.address}/{FILE}", part, wait_s=0.0)
    download(f"{server.address}/{FILE}", part, wait_s=0.0)
    assert part.read_bytes() == server.body
    assert server.seen == [None, f"bytes={len(server.body)}-"]


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    download(f"{server.address}/{FILE}", part, wait_s=0.0)
    part.write_bytes(server.body + b"more")
    download(f"{server.address}/{FILE}", part, wait_s=0.0)
    assert part.read_bytes() == server.body


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server: Server, tmp_path: Path) -> None:
    server.errors = [503, 429]
    assert fetch(server, tmp_path).new
    assert len(server.seen) == 3
    server.errors, server.seen = [404], []
    with pytest.raises(RedoxError, match="404") as caught:
        fetch(server, tmp_path / "other")
    assert caught.value.settings == ("file", "mirror")
    assert len(server.seen) == 1


def test_an_unreachable_server_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RedoxError, match=r"cannot reach 127\.0\.0\.1") as caught:
        fetch_model("e_coli_core", mirror="http://127.0.0.1:9", folder=tmp_path, wait_s=0.0)
    assert caught.value.settings == ("file",)
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    "body",
    [b"<html>please log in</html>", gzip.compress(b"{}"), gzip.compress(b"x")[:-4]],
    ids=["a page", "no model", "cut short"],  # gzip writes the time, and every worker has to give a test one name
)
def test_what_is_no_model_leaves_nothing_behind(server: Server, tmp_path: Path, body: bytes) -> None:
    server.body = body
    with pytest.raises(RedoxError):
        fetch(server, tmp_path)
    assert names(tmp_path) == set()


def test_another_model_under_the_name_is_refused(server: Server, tmp_path: Path) -> None:
    server.body = gzip.compress(core_json().read_bytes())
    with pytest.raises(RedoxError, match="is not e_coli_core: it has 164 reactions instead of 95"):
        fetch(server, tmp_path)
    assert names(tmp_path) == set()


def test_the_right_sizes_with_another_optimum_are_refused(server: Server, tmp_path: Path, e_coli_core: bytes) -> None:
    document = json.loads(gzip.decompress(e_coli_core))
    for reaction in document["reactions"]:
        if reaction["id"] == "EX_glc__D_e":
            reaction["lower_bound"] = -9.0
    server.body = gzip.compress(json.dumps(document).encode())
    with pytest.raises(RedoxError, match="an optimum of"):
        fetch(server, tmp_path)
    assert names(tmp_path) == set()


def repacked(body: bytes) -> bytes:
    """The same content in other bytes."""
    return gzip.compress(gzip.decompress(body), compresslevel=1)


def test_a_file_that_changed_at_its_source_is_refused_until_repinned(server: Server, tmp_path: Path) -> None:
    first = fetch(server, tmp_path)
    first.path.unlink()
    server.body = repacked(server.body)
    with pytest.raises(RedoxError, match="not the file that was pinned") as caught:
        fetch(server, tmp_path)
    assert caught.value.settings == ("repin",)
    assert names(tmp_path) == {"pins.json"}
    again = fetch(server, tmp_path, repin=True)
    assert again.sha256 == sha256_of(again.path) != first.sha256
    assert not fetch(server, tmp_path).new


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, tmp_path: Path) -> None:
    first = fetch(server, tmp_path)
    first.path.write_bytes(first.path.read_bytes()[:-100])
    again = fetch(server, tmp_path)
    assert again.new
    assert sha256_of(again.path) == first.sha256


def test_a_damaged_pin_file_says_how_to_mend_it(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    (tmp_path / "pins.json").write_text('{"e_coli_core": 1')
    with pytest.raises(RedoxError, match="pinned checksums") as caught:
        fetch(server, tmp_path)
    assert "remove that file" in caught.value.hint


def test_a_file_is_taken_offline_with_the_same_checks(e_coli_core: bytes, tmp_path: Path) -> None:
    given, cache = tmp_path / "given.json.gz", tmp_path / "cache"
    given.write_bytes(e_coli_core)
    fetched = fetch_model("e_coli_core", file=given, folder=cache)
    assert fetched.path.read_bytes() == e_coli_core
    assert given.exists()
    given.write_bytes(repacked(e_coli_core))
    with pytest.raises(RedoxError, match="not the file that was pinned"):
        fetch_model("e_coli_core", file=given, folder=cache)
    given.write_bytes(e_coli_core[:-500])
    with pytest.raises(RedoxError, match="cannot read"):
        fetch_model("e_coli_core", file=given, folder=cache, repin=True)
    assert fetched.path.read_bytes() == e_coli_core
    assert names(cache) == {FILE, "pins.json"}


def test_recon3d_is_checked_by_its_sizes_and_optimum(recon3d_path: Path, tmp_path: Path) -> None:
    fetched = fetch_model("recon3d", file=recon3d_path, folder=tmp_path)
    assert (fetched.content.reactions, fetched.content.metabolites, fetched.content.genes) == (10600, 5835, 2248)
    assert fetched.content.optimum == pytest.approx(755.0032, abs=1e-4)


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RedoxError, match="unknown model 'recon4d'") as caught:
        fetch_model("recon4d", folder=tmp_path)
    assert all(name in caught.value.hint for name in load_catalogue())


def test_the_command_fetches_to_the_cache_and_prints_json_alone_on_stdout(server: Server, tmp_path: Path) -> None:
    environment = {"REDOX_MIRROR": server.address, "REDOX_CACHE": str(tmp_path)}
    done = redox("model", "fetch", "e_coli_core", "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["path"] == str(tmp_path / FILE)
    assert answer["sha256"] == sha256_of(tmp_path / FILE)
    assert (answer["reactions"], answer["metabolites"], answer["genes"]) == (95, 72, 137)
    assert f"{len(server.body):,} bytes" in done.stderr


def test_the_command_without_a_network_ends_in_two_lines(tmp_path: Path) -> None:
    server_that_is_not_there = "http://127.0.0.1:9"
    done = redox("model", "fetch", "e_coli_core", "--mirror", server_that_is_not_there, "--to", str(tmp_path))
    assert_refused(done, "127.0.0.1", "(--from)")


def test_an_unknown_model_exits_2_without_a_traceback() -> None:
    assert_refused(redox("model", "fetch", "nothing"))
