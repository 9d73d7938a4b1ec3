"""Checkpoints: folders `step_000932960` that are whole or not there.

A checkpoint is written under a temporary name that no reader matches, every file is flushed to disk, the manifest
with sizes and sha256 of all files comes last, then the folder is renamed. Readers check the manifest before they
believe a file. Arrays are safetensors and the rest is JSON: loading a foreign checkpoint runs no code of it.

This module imports neither Ray nor torch, so that tools which only verify or fetch checkpoints stay light.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from redox_balancer.errors import RedoxError
from redox_balancer.files import TEMPORARY, sync_folder, write_synced
from redox_balancer.impala.policy import Policy, PolicyShape

SCHEMA = 2
ARRAYS, STATE, MANIFEST = "arrays.safetensors", "state.json", "manifest.json"
LATEST, BEST = "latest", "best"
_REPLACED = "replaced_"  # begins the name of a checkpoint while another one of its step takes its place
_DAMAGED = "damaged_"  # begins the name of a checkpoint that was set aside
_NAME = re.compile(rf"(?:{_REPLACED})?step_(\d{{9,}})")

State = Mapping[str, Any]


class FileEntry(NamedTuple):
    """What the manifest says of a file: its size in bytes and its sha256 in hex."""

    size: int
    sha256: str


class Manifest(NamedTuple):
    """What a checkpoint is: its format, environment steps and the files beside the manifest."""

    schema: int
    step: int
    files: Mapping[str, FileEntry]


def _with_returns(state: State) -> State:
    """Schema 1 knew nothing of the best checkpoint."""
    return {"return_mean": None, "best": None, **state}


# What makes the state of schema n one of schema n + 1.
MIGRATIONS: Mapping[int, Callable[[State], State]] = {1: _with_returns}


class DamagedCheckpointError(RedoxError):
    """A checkpoint is not what its manifest says."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A verified checkpoint: its folder, environment steps, arrays by name and the rest of the state."""

    path: Path
    step: int
    arrays: Mapping[str, NDArray[Any]]
    state: State


def save(run: Path, step: int, arrays: Mapping[str, NDArray[Any]], state: State) -> Path:
    """Write a checkpoint into a run's folder and point `latest` at it.

    A checkpoint of the same step is replaced. When anything fails (OSError: disk full, no permission) what was
    written is removed and the earlier checkpoints are as before.

    Parameters
    ----------
    run
        Folder of the run.
    step
        Environment steps so far.
    arrays
        Arrays by name.
    state
        The rest, ready for JSON.
    """
    final = run / folder_name(step)
    partial = run / f"{TEMPORARY}{final.name}-{uuid.uuid4().hex}"
    try:
        partial.mkdir(parents=True)
        contents = {
            ARRAYS: save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()}),
            STATE: json.dumps(state, indent=1).encode(),
        }
        files = {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents.items()
        }
        manifest = {"schema": SCHEMA, "step": step, "files": files}
        contents[MANIFEST] = json.dumps(manifest | {"sha256": _digest(manifest)}, indent=1).encode()
        for name, content in contents.items():
            write_synced(partial / name, content)
        sync_folder(partial)
        # Killed between the two renames the old one is still read, see `steps`.
        replaced = final.rename(run / f"{_REPLACED}{final.name}") if final.exists() else None
        partial.rename(final)
        sync_folder(run)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if replaced is not None:
        _remove(replaced)
    # The checkpoint is safe now; `latest` is a convenience for people, readers list the folder.
    with suppress(OSError):
        _point(LATEST, final)
    return final


def steps(run: Path) -> dict[int, Path]:
    """Return the checkpoint folders of a run by step, newest first, unverified."""
    if not run.is_dir():
        return {}
    found: dict[int, Path] = {}
    for path in sorted(run.iterdir(), reverse=True):  # "step_..." comes before "replaced_step_..." and stands
        if match := _NAME.fullmatch(path.name):
            found.setdefault(int(match[1]), path)
    return dict(sorted(found.items(), reverse=True))


def folder_name(step: int) -> str:
    """Return the name of a checkpoint's folder."""
    return f"step_{step:09d}"


def step_of(path: Path) -> int:
    """Return the environment steps that the name of a checkpoint folder tells; a RedoxError where it is none."""
    match = _NAME.fullmatch(path.resolve().name)
    if not path.is_dir() or match is None:
        raise RedoxError(
            f"{path} is not a checkpoint",
            hint="name a folder like step_000932960, or a run's folder that holds some",
        )
    return int(match[1])


def load(path: Path) -> Checkpoint:
    """Read and verify one checkpoint folder.

    One of an older format comes back as this version would have written it. A RedoxError where `path` is no
    checkpoint or one of a newer format, a DamagedCheckpointError where a file differs from the manifest.
    """
    manifest, contents = read(path)
    with _damage_named(path):
        state: State = json.loads(contents[STATE])
        for older in range(manifest.schema, SCHEMA):
            state = MIGRATIONS[older](state)
        return Checkpoint(path, manifest.step, load_arrays(contents[ARRAYS]), state)


class CheckpointContents(NamedTuple):
    """The bytes of a verified checkpoint by file, its manifest last."""

    manifest: Manifest
    files: Mapping[str, bytes]


def read(path: Path) -> CheckpointContents:
    """Read and verify the files of one checkpoint folder; errors as those of `load`."""
    step = step_of(path)
    with _damage_named(path):
        written = (path / MANIFEST).read_bytes()
        manifest = read_manifest(written, step, str(path))
        files = {name: (path / name).read_bytes() for name in manifest.files}
        for name, entry in manifest.files.items():
            check_file(name, entry, len(files[name]), hashlib.sha256(files[name]).hexdigest())
        return CheckpointContents(manifest, {**files, MANIFEST: written})


def read_manifest(content: bytes, step: int, name: str) -> Manifest:
    """Return the manifest of the checkpoint of a step; `name` is what errors call that.

    A ValueError where it is not as it was written, a RedoxError where its format is a newer one.
    """
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{MANIFEST} is no JSON: {error}") from error
    _require(isinstance(manifest, dict), f"{MANIFEST} holds no manifest")
    digest = manifest.pop("sha256", None)
    try:
        schema = manifest["schema"]
        _require(isinstance(schema, int) and schema >= 1, f"there is no checkpoint format {schema!r}")
        # Schema 1 had no checksum of the manifest itself.
        intact = digest == _digest(manifest) or (digest is None and schema == 1)
        _require(intact, f"{MANIFEST} does not have its sha256")
        if schema > SCHEMA:  # the rest may look different
            raise RedoxError(
                f"{name} has checkpoint format {schema}, this version reads up to {SCHEMA}",
                hint="use the version of redox_balancer that wrote it, or a newer one",
            )
        files = dict(manifest["files"])
        _require(manifest["step"] == step, f"its manifest is of step {manifest['step']}")
        # Names become paths, and the manifest may come from elsewhere.
        odd = [name for name in files if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name) or name == MANIFEST]
        _require(not odd, f"{MANIFEST} names {odd}")
        entries = {name: FileEntry(int(entry["size"]), str(entry["sha256"])) for name, entry in files.items()}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{MANIFEST} is incomplete: {error}") from error
    return Manifest(schema, step, entries)


def check_file(name: str, expected: FileEntry, size: int, sha256: str) -> None:
    """Compare a file with the manifest; a ValueError where it differs."""
    _require(size == expected.size, f"{name} has {size} bytes instead of {expected.size}")
    _require(sha256 == expected.sha256, f"{name} does not have its sha256")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DamagedCheckpointError(
            f"checkpoint {path} is damaged: {error}", hint="resume from another one of the same run"
        ) from error


class FoundCheckpoint(NamedTuple):
    """A whole checkpoint, and the damaged ones that are newer, each with what is wrong with it."""

    checkpoint: Checkpoint
    damaged: Mapping[Path, str]


def find(path: Path) -> FoundCheckpoint:
    """Read a checkpoint folder, or the newest whole checkpoint of a run's folder.

    A RedoxError where there is none, a DamagedCheckpointError where there are some and all are damaged.
    """
    candidates = list(steps(path).values())
    if not candidates:
        return FoundCheckpoint(load(path), {})
    damaged: dict[Path, str] = {}
    for candidate in candidates:
        try:
            return FoundCheckpoint(load(candidate), damaged)
        except DamagedCheckpointError as error:
            damaged[candidate] = error.message
    raise DamagedCheckpointError(
        f"every checkpoint in {path} is damaged ({', '.join(folder.name for folder in damaged)})",
        hint="restore the folder from a backup, or train into a new one",
    )


def load_policy(path: Path) -> Policy:
    """Read the policy of a checkpoint folder, or of the newest complete checkpoint of a run's folder.

    A RedoxError where there is none.
    """
    newest = find(path).checkpoint
    return Policy(PolicyShape.from_dict(newest.state["policy"]), newest.arrays["parameters"])


def damaged(run: Path) -> list[Path]:
    """Checkpoints of a run that were found damaged and set aside."""
    return sorted(run.glob(f"{_DAMAGED}*")) if run.is_dir() else []


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint so that no reader takes it and its step can be saved again."""
    aside = path.with_name(f"{_DAMAGED}{path.name}-{uuid.uuid4().hex[:8]}")
    path.rename(aside)
    return aside


def kept(saved: Collection[int], *, newest: int, every: int = 0, best: int | None = None) -> set[int]:
    """Return which of the saved steps stay.

    Parameters
    ----------
    saved
        Steps of the checkpoints there are.
    newest
        How many of the newest stay.
    every
        The first checkpoint at or after each multiple of this many steps stays for good; 0 for none.
    best
        A step that stays.
    """
    stay = set(sorted(saved)[-newest:]) | {step for step in saved if step == best}
    if every:
        first: dict[int, int] = {}
        for step in sorted(saved):
            first.setdefault(step // every, step)
        stay |= {step for multiple, step in first.items() if multiple > 0}
    return stay


def prune(run: Path, keep: int, *, every: int = 0, best: int | None = None) -> None:
    """Remove the checkpoints that need not stay, see `kept`."""
    saved = steps(run)
    for step in saved.keys() - kept(saved, newest=keep, every=every, best=best):
        _remove(saved[step])


def mark_best(checkpoint: Path) -> None:
    """Let the link `best` of a run show a checkpoint."""
    _point(BEST, checkpoint)


def remove_leftovers(run: Path) -> None:
    """Clear up after an interrupted save; only while nobody writes into the folder."""
    for path in run.glob(f"{_REPLACED}*"):
        final = path.with_name(path.name.removeprefix(_REPLACED))
        if final.exists():
            _remove(path)
        else:
            path.rename(final)
    for path in run.glob(f"{TEMPORARY}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _point(name: str, checkpoint: Path) -> None:
    link = checkpoint.with_name(f"{TEMPORARY}{name}-{uuid.uuid4().hex}")
    link.symlink_to(checkpoint.name)
    link.replace(checkpoint.with_name(name))


def _remove(path: Path) -> None:
    # Renamed first: a removal that is cut short must not leave a folder that looks like a checkpoint.
    shutil.rmtree(path.rename(path.with_name(f"{TEMPORARY}old-{uuid.uuid4().hex}")), ignore_errors=True)


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _require(fine: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not fine:
        raise ValueError(otherwise)
