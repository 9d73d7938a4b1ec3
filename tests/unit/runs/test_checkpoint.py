import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from full_disk import disk_full_after
from redox_balancer.errors import RedoxError
from redox_balancer.files import write_whole
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import DamagedCheckpointError
from redox_balancer.runs.manifest import SCHEMA
from redox_balancer.runs.remote.listing import list_checkpoints

ARRAYS = {"parameters": np.arange(50_000, dtype=np.float32), "empty": np.zeros(0, dtype=np.float32)}
STATE = {"rng": {"state": 2**127 + 1}, "steps": 7}


def test_a_loaded_checkpoint_equals_the_saved_one(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "run", 932_960, ARRAYS, STATE)
    assert path.name == "step_000932960"
    loaded = checkpoint.load(path)
    assert loaded.step == 932_960
    assert loaded.state == STATE
    assert loaded.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
        assert loaded.arrays[name].dtype == array.dtype


def test_latest_is_a_link_to_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, ARRAYS, STATE)
    (tmp_path / "latest").write_text("step_000000001")  # what an archive without links makes of it
    checkpoint.point(checkpoint.LATEST, checkpoint.steps(tmp_path)[3])
    assert (tmp_path / "latest").readlink().name == "step_000000003"
    assert checkpoint.load(tmp_path / "latest").step == 3


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("arrays.safetensors", flip_a_byte),
        ("arrays.safetensors", lambda path: os.truncate(path, path.stat().st_size - 1)),
        ("state.json", lambda path: path.write_text(path.read_text().replace("7", "8"))),
        ("state.json", Path.unlink),
        ("manifest.json", Path.unlink),
        ("manifest.json", lambda path: path.write_text('{"schema": 1, "st')),
        ("manifest.json", lambda path: path.write_text("[1]")),
        # That of another step.
        ("manifest.json", lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"step": 1}))),
    ],
)
def test_damage_is_detected_and_the_checkpoint_before_it_is_used(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    checkpoint.save(tmp_path, 100, ARRAYS, STATE)
    newest = checkpoint.save(tmp_path, 200, ARRAYS, STATE)
    damage(newest / name)
    with pytest.raises(DamagedCheckpointError, match="damaged"):
        checkpoint.load(newest)
    found, damaged = checkpoint.find(tmp_path)
    assert found.step == 100
    assert list(damaged) == [newest]
    (tmp_path / "step_000000100" / "manifest.json").unlink()
    every = r"every checkpoint .* is damaged \(step_000000200, step_00000010"
    with pytest.raises(DamagedCheckpointError, match=every):
        checkpoint.find(tmp_path)


def test_a_newer_format_is_refused_and_not_reported_as_damage(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 100, ARRAYS, STATE)
    manifest = json.loads((path / "manifest.json").read_text()) | {"schema": SCHEMA + 1}
    del manifest["sha256"]
    manifest["sha256"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RedoxError, match="format 3, this version reads up to 2") as caught:
        checkpoint.load(path)
    assert not isinstance(caught.value, DamagedCheckpointError)


@pytest.mark.parametrize("name", ["nothing", "file", "step_12a", "folder"])
def test_a_path_that_is_not_a_checkpoint_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "step_12a").mkdir()
    (tmp_path / "folder").mkdir()
    with pytest.raises(RedoxError, match="not a checkpoint") as caught:
        checkpoint.find(tmp_path / name)
    assert "step_" in caught.value.hint


@pytest.mark.parametrize("size", [0, 100, 10_000, 200_300])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_no_partial_file(tmp_path: Path, size: int) -> None:
    checkpoint.save(tmp_path, 1, ARRAYS, STATE)
    before = sorted(path.name for path in tmp_path.iterdir())
    big = {"parameters": np.zeros(1_000_000, dtype=np.float32)}
    with disk_full_after(size), pytest.raises(OSError, match="too large"):
        checkpoint.save(tmp_path, 2, big, STATE)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert checkpoint.find(tmp_path).checkpoint.step == 1


def test_a_killed_save_is_invisible_and_its_leftovers_are_removed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, ARRAYS, STATE)
    child = os.fork()
    if child == 0:  # die in the middle of the second file
        written = []
        whole = checkpoint.write_synced

        def die(path: Path, content: bytes) -> None:
            written.append(path)
            whole(path, content if len(written) == 1 else content[:10])
            if len(written) == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        checkpoint.write_synced = die
        checkpoint.save(tmp_path, 2, ARRAYS, STATE)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    assert list(checkpoint.steps(tmp_path)) == [1]
    assert checkpoint.find(tmp_path).damaged == {}
    checkpoint.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000000001"]


def test_the_newest_are_kept_and_a_step_saved_again_replaces_the_earlier_one(tmp_path: Path) -> None:
    for step in (5, 999_999_999, 1_000_000_000, 40):
        checkpoint.save(tmp_path, step, ARRAYS, STATE)
    checkpoint.prune(tmp_path, 2)
    assert list(checkpoint.steps(tmp_path)) == [1_000_000_000, 999_999_999]
    checkpoint.save(tmp_path, 999_999_999, ARRAYS, {"again": True})
    assert checkpoint.load(tmp_path / "step_999999999").state == {"again": True}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_name_without_leading_zeros_is_read_and_replaced_by_the_one_with_them(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 7, ARRAYS, STATE)
    path = checkpoint.save(tmp_path, 932_960, ARRAYS, STATE).rename(tmp_path / "step_932960")
    assert checkpoint.steps(tmp_path) == {932_960: path, 7: tmp_path / "step_000000007"}
    assert checkpoint.find(tmp_path).checkpoint.path == path
    assert checkpoint.load(path).step == 932_960
    saved = checkpoint.save(tmp_path, 932_960, ARRAYS, {"again": True})
    assert checkpoint.steps(tmp_path) == {932_960: saved, 7: tmp_path / "step_000000007"}
    assert not path.exists()


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_whole(path, b"old")
    with disk_full_after(2), pytest.raises(OSError, match="too large"):
        write_whole(path, b"newer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_checkpoint_set_aside_is_kept_but_no_longer_read(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 3, ARRAYS, STATE)
    aside = checkpoint.set_aside(path)
    assert aside.is_dir()
    assert checkpoint.steps(tmp_path) == {}


# No checksum in the manifest, no returns.
SCHEMA_1_STATE = b'{\n "updates": 7,\n "steps": 3584,\n "collector": null\n}'


def write_schema_1(run: Path) -> Path:
    path = run / "step_000003584"
    path.mkdir(parents=True)
    header = b'{"parameters":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    header += b" " * (-len(header) % 8)
    arrays = len(header).to_bytes(8, "little") + header + np.asarray([1.5, -2.0], dtype="<f4").tobytes()
    files = {}
    for name, content in (("arrays.safetensors", arrays), ("state.json", SCHEMA_1_STATE)):
        (path / name).write_bytes(content)
        files[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "manifest.json").write_text(json.dumps({"schema": 1, "step": 3584, "files": files}, indent=1))
    return path


def test_an_older_format_is_converted_when_read_and_left_unchanged_on_disk(tmp_path: Path) -> None:
    path = write_schema_1(tmp_path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    loaded = checkpoint.load(path)
    assert loaded.state == {"updates": 7, "steps": 3584, "collector": None, "return_mean": None, "best": None}
    np.testing.assert_array_equal(loaded.arrays["parameters"], [1.5, -2.0])
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_every_flipped_byte_of_a_manifest_is_detected(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 100, {"parameters": np.zeros(3)}, STATE)
    manifest = path / "manifest.json"
    whole = manifest.read_bytes()
    for position in range(len(whole)):
        for bit in (1, 2, 16):
            flipped = bytearray(whole)
            flipped[position] ^= bit
            manifest.write_bytes(flipped)
            with pytest.raises(DamagedCheckpointError):
                checkpoint.load(path)


@pytest.mark.parametrize("old_is_whole", [True, False])
def test_an_interrupted_replacement_never_loses_the_step(tmp_path: Path, old_is_whole: bool) -> None:  # noqa: FBT001
    checkpoint.save(tmp_path, 100, ARRAYS, STATE)
    path = checkpoint.save(tmp_path, 200, ARRAYS, STATE)
    # As a kill between the two renames of a save leaves it.
    path.rename(tmp_path / "replaced_step_000000200")
    if not old_is_whole:
        flip_a_byte(tmp_path / "replaced_step_000000200" / "arrays.safetensors")
    found, damaged = checkpoint.find(tmp_path)
    assert found.step == (200 if old_is_whole else 100)
    assert len(damaged) == (0 if old_is_whole else 1)
    checkpoint.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*step*")) == ["step_000000100", "step_000000200"]
    checkpoint.save(tmp_path, 200, ARRAYS, STATE)
    assert checkpoint.find(tmp_path).checkpoint.step == 200


@pytest.mark.parametrize(
    ("options", "stay"),
    [
        ({"newest": 2}, {1030, 1290}),
        ({"newest": 2, "best": 260}, {260, 1030, 1290}),
        ({"newest": 2, "best": 7}, {1030, 1290}),
        ({"newest": 1, "every": 500}, {520, 1030, 1290}),
        ({"newest": 1, "every": 250}, {260, 520, 780, 1030, 1290}),
        ({"newest": 9}, {10, 260, 520, 780, 1030, 1290}),
    ],
)
def test_the_newest_the_first_of_each_interval_and_the_best_are_retained(
    options: dict[str, int], stay: set[int]
) -> None:
    saved = [10, 260, 520, 780, 1030, 1290]
    assert checkpoint.retained(saved, **options) == stay
    # Pruning after each save retains the same checkpoints.
    left: set[int] = set()
    for step in saved:
        left = checkpoint.retained({*left, step}, **options)
    assert left == stay


def test_the_best_is_marked_and_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        path = checkpoint.save(tmp_path, step, ARRAYS, STATE)
        if step == 2:
            checkpoint.point(checkpoint.BEST, path)
        checkpoint.prune(tmp_path, 2, best=2)
    assert list(checkpoint.steps(tmp_path)) == [5, 4, 2]
    assert checkpoint.load(tmp_path / "best").step == 2


@pytest.mark.parametrize("verify", [True, False])
def test_a_list_has_no_checkpoint_that_a_trainer_removes_meanwhile(tmp_path: Path, *, verify: bool) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, ARRAYS, STATE)
    listed = list_checkpoints(str(tmp_path), verify=verify)
    assert next(listed).step == 3
    checkpoint.prune(tmp_path, 1)
    assert list(listed) == []
