"""A fetched model is checked and pinned, or discarded."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model_server import FILE, ModelServer, fetch_from, names
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.fetch import fetch_model, load_catalogue, sha256_of
from redox_balancer.errors import RedoxError


def test_a_model_is_downloaded_checked_and_pinned(model_server: ModelServer, tmp_path: Path) -> None:
    seen: list[tuple[str | int | None, ...]] = []
    fetched = fetch_from(model_server, tmp_path, progress=lambda *step: seen.append(step))
    assert fetched.new
    assert fetched.path.read_bytes() == model_server.body
    assert fetched.sha256 == hashlib.sha256(model_server.body).hexdigest()
    assert (fetched.content.reactions, fetched.content.metabolites, fetched.content.genes) == (95, 72, 137)
    assert fetched.content.optimum == pytest.approx(0.8739215, rel=1e-6)
    assert seen[-2:] == [
        ("downloading e_coli_core.json.gz", len(model_server.body), len(model_server.body)),
        ("checking e_coli_core",),
    ]
    assert names(tmp_path) == {FILE, "pins.json"}
    assert json.loads((tmp_path / "pins.json").read_text())["e_coli_core"]["sha256"] == fetched.sha256


def test_a_pinned_model_is_not_downloaded_again(model_server: ModelServer, tmp_path: Path) -> None:
    first = fetch_from(model_server, tmp_path)
    again = fetch_from(model_server, tmp_path)
    assert not again.new
    assert (again.path, again.sha256, again.content) == (first.path, first.sha256, first.content)
    assert len(model_server.seen) == 1


def with_slow_uptake(core: bytes) -> bytes:
    """The right sizes with another optimum."""
    document = json.loads(gzip.decompress(core))
    for reaction in document["reactions"]:
        if reaction["id"] == "EX_glc__D_e":
            reaction["lower_bound"] = -9.0
    return gzip.compress(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(lambda _: b"<html>please log in</html>", "cannot read", id="a page"),
        pytest.param(lambda _: gzip.compress(b"{}"), "cannot read", id="no model"),
        pytest.param(lambda _: gzip.compress(b"x")[:-4], "cannot read", id="cut short"),
        pytest.param(
            lambda _: gzip.compress(core_json().read_bytes()),
            "is not e_coli_core: it has 164 reactions instead of 95",
            id="another model",
        ),
        pytest.param(with_slow_uptake, "an optimum of", id="another optimum"),
    ],
)
def test_a_file_that_is_not_the_model_is_refused_and_removed(
    model_server: ModelServer, tmp_path: Path, body: Callable[[bytes], bytes], said: str
) -> None:
    model_server.body = body(model_server.body)
    with pytest.raises(RedoxError, match=said):
        fetch_from(model_server, tmp_path)
    assert names(tmp_path) == set()


def repacked(body: bytes) -> bytes:
    """The same content, compressed differently."""
    return gzip.compress(gzip.decompress(body), compresslevel=1)


def test_a_file_that_changed_at_its_source_is_refused_until_repinned(
    model_server: ModelServer, tmp_path: Path
) -> None:
    first = fetch_from(model_server, tmp_path)
    first.path.unlink()
    model_server.body = repacked(model_server.body)
    with pytest.raises(RedoxError, match="not the file that was pinned") as caught:
        fetch_from(model_server, tmp_path)
    assert caught.value.settings == ("repin",)
    assert names(tmp_path) == {"pins.json"}
    again = fetch_from(model_server, tmp_path, repin=True)
    assert again.sha256 == sha256_of(again.path) != first.sha256
    assert not fetch_from(model_server, tmp_path).new


def test_a_damaged_file_in_the_cache_is_replaced(model_server: ModelServer, tmp_path: Path) -> None:
    first = fetch_from(model_server, tmp_path)
    first.path.write_bytes(first.path.read_bytes()[:-100])
    again = fetch_from(model_server, tmp_path)
    assert again.new
    assert sha256_of(again.path) == first.sha256


def test_a_damaged_pin_file_is_reported_with_a_fix(model_server: ModelServer, tmp_path: Path) -> None:
    fetch_from(model_server, tmp_path)
    (tmp_path / "pins.json").write_text('{"e_coli_core": 1')
    with pytest.raises(RedoxError, match="pinned checksums") as caught:
        fetch_from(model_server, tmp_path)
    assert "remove that file" in caught.value.hint


def test_a_local_file_passes_the_same_checks_offline(e_coli_core: bytes, tmp_path: Path) -> None:
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
