"""Downloads over interrupted connections, from servers with and without ranges and validators."""

from pathlib import Path
from typing import Any

import pytest

from model_server import FILE, ModelServer, fetch_from, names
from redox_balancer.cell.download import download
from redox_balancer.cell.fetch import fetch_model
from redox_balancer.errors import RedoxError


@pytest.mark.parametrize(
    ("server", "cuts", "asked"),
    [
        pytest.param({}, [3000, 2000], ["bytes=3000-", "bytes=5000-"], id="resumed where it stopped"),
        pytest.param(
            {"etag": 'W/"weak"', "last_modified": "Mon, 01 Jan 2018 00:00:00 GMT"}, [3000], ["bytes=3000-"],
            id="a date in place of an etag",
        ),
        pytest.param({"ranges": False}, [3000], ["bytes=3000-"], id="no ranges: the file from the start"),
        pytest.param({"etag": None}, [3000], [None], id="no validator: restarted"),
    ],
)  # fmt: skip
def test_a_cut_connection_is_resumed_as_the_server_allows(
    model_server: ModelServer, tmp_path: Path, server: dict[str, Any], cuts: list[int], asked: list[str | None]
) -> None:
    for name, value in server.items():
        setattr(model_server, name, value)
    model_server.cuts = cuts
    assert fetch_from(model_server, tmp_path).path.read_bytes() == model_server.body
    assert model_server.seen == [None, *asked]


def test_a_later_call_resumes_the_partial_file_of_an_earlier_one(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.cuts = [1000] * 4
    with pytest.raises(RedoxError, match="failed") as caught:
        fetch_from(model_server, tmp_path)
    assert "the download resumes" in caught.value.hint
    assert names(tmp_path) == {"e_coli_core.part.json.gz", "e_coli_core.part.json.gz.json"}
    fetched = fetch_from(model_server, tmp_path)
    assert model_server.seen[-1] == "bytes=4000-"
    assert fetched.path.read_bytes() == model_server.body
    assert names(tmp_path) == {FILE, "pins.json"}


def test_a_file_that_changed_between_two_attempts_is_downloaded_completely(
    model_server: ModelServer, tmp_path: Path
) -> None:
    part = tmp_path / "file.part"
    model_server.cuts = [1000] * 4
    with pytest.raises(RedoxError):
        download(f"{model_server.address}/{FILE}", part, wait_s=0.0)
    model_server.body, model_server.etag, model_server.cuts = model_server.body[::-1], '"v2"', []
    download(f"{model_server.address}/{FILE}", part, wait_s=0.0)
    assert part.read_bytes() == model_server.body


@pytest.mark.parametrize(("more", "asked_again"), [(b"", []), (b"more", [None])])
def test_a_partial_file_is_used_if_complete_and_discarded_if_longer_than_the_file(
    model_server: ModelServer, tmp_path: Path, more: bytes, asked_again: list[None]
) -> None:
    part = tmp_path / "file.part"
    download(f"{model_server.address}/{FILE}", part, wait_s=0.0)
    part.write_bytes(model_server.body + more)
    download(f"{model_server.address}/{FILE}", part, wait_s=0.0)
    assert part.read_bytes() == model_server.body
    assert model_server.seen == [None, f"bytes={len(model_server.body + more)}-", *asked_again]


def test_a_busy_server_is_retried_and_a_missing_file_is_not(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.errors = [503, 429]
    assert fetch_from(model_server, tmp_path).new
    assert len(model_server.seen) == 3
    model_server.errors, model_server.seen = [404], []
    with pytest.raises(RedoxError, match="404") as caught:
        fetch_from(model_server, tmp_path / "other")
    assert caught.value.settings == ("file", "mirror")
    assert len(model_server.seen) == 1


def test_an_unreachable_server_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RedoxError, match=r"cannot reach 127\.0\.0\.1") as caught:
        fetch_model("e_coli_core", mirror="http://127.0.0.1:9", folder=tmp_path, wait_s=0.0)
    assert caught.value.settings == ("file",)
    assert names(tmp_path) == set()
