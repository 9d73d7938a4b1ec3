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
from collections.abc import Mapping
from contextlib import suppress
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

SCHEMA = 1
ARRAYS, STATE, MANIFEST, LATEST = "arrays.safetensors", "state.json", "manifest.json", "latest"
_NAME = re.compile(r"step_(\d{9,})")


class DamagedCheckpointError(RedoxError):
    """A checkpoint is not what its manifest says."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A verified checkpoint: its folder, environment steps, arrays by name and the rest of the state."""

    path: Path
    step: int
    arrays: Mapping[str, NDArray[Any]]
    state: Mapping[str, Any]


def save(run: Path, step: int, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]) -> Path:
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
    final = run / f"step_{step:09d}"
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
        contents[MANIFEST] = json.dumps({"schema": SCHEMA, "step": step, "files": files}, indent=1).encode()
        for name, content in contents.items():
            write_synced(partial / name, content)
        sync_folder(partial)
        replaced = final.rename(run / f"{TEMPORARY}old-{uuid.uuid4().hex}") if final.exists() else None
        partial.rename(final)
        sync_folder(run)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if replaced is not None:
        shutil.rmtree(replaced, ignore_errors=True)
    # The checkpoint is safe now; `latest` is a convenience for people, readers list the folder.
    with suppress(OSError):
        _point_latest_at(final)
    return final


def steps(run: Path) -> dict[int, Path]:
    """Return the checkpoint folders of a run by step, newest first, unverified."""
    if not run.is_dir():
        return {}
    found = {int(match[1]): path for path in run.iterdir() if (match := _NAME.fullmatch(path.name))}
    return dict(sorted(found.items(), reverse=True))


def load(path: Path) -> Checkpoint:
    """Read and verify one checkpoint folder.

    A RedoxError where `path` is no checkpoint, a DamagedCheckpointError where a file differs from the manifest.
    """
    match = _NAME.fullmatch(path.resolve().name)
    if not path.is_dir() or match is None:
        raise RedoxError(
            f"{path} is not a checkpoint",
            hint="name a folder like step_000932960, or a run's folder that holds some",
        )
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        schema, step, files = manifest["schema"], int(manifest["step"]), dict(manifest["files"])
        if schema != SCHEMA:
            raise RedoxError(
                f"{path} has checkpoint format {schema}, this version reads {SCHEMA}",
                hint="use the version of redox_balancer that wrote it",
            )
        _require_step(step, int(match[1]))
        contents = {name: _read_verified(path / name, files[name]) for name in (ARRAYS, STATE)}
        return Checkpoint(path, step, load_arrays(contents[ARRAYS]), json.loads(contents[STATE]))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DamagedCheckpointError(
            f"checkpoint {path} is damaged: {error}", hint="resume from another one of the same run"
        ) from error


class Found(NamedTuple):
    """A whole checkpoint, and the damaged ones that are newer, each with what is wrong with it."""

    checkpoint: Checkpoint
    damaged: Mapping[Path, str]


def find(path: Path) -> Found:
    """Read a checkpoint folder, or the newest whole checkpoint of a run's folder.

    A RedoxError where there is none, a DamagedCheckpointError where there are some and all are damaged.
    """
    candidates = list(steps(path).values())
    if not candidates:
        return Found(load(path), {})
    damaged: dict[Path, str] = {}
    for candidate in candidates:
        try:
            return Found(load(candidate), damaged)
        except DamagedCheckpointError as error:
            damaged[candidate] = error.message
    raise DamagedCheckpointError(
        f"every checkpoint in {path} is damaged ({', '.join(folder.name for folder in damaged)})",
        hint="restore the folder from a backup, or train into a new one",
    )


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint so that no reader takes it and its step can be saved again."""
    aside = path.with_name(f"damaged_{path.name}-{uuid.uuid4().hex[:8]}")
    path.rename(aside)
    return aside


def prune(run: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints."""
    for path in list(steps(run).values())[keep:]:
        # Renamed first: a removal that is cut short must not leave a folder that looks like a checkpoint.
        shutil.rmtree(path.rename(run / f"{TEMPORARY}old-{uuid.uuid4().hex}"), ignore_errors=True)


def remove_leftovers(run: Path) -> None:
    """Remove what an interrupted save left behind; only while nobody writes into the folder."""
    for path in run.glob(f"{TEMPORARY}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _point_latest_at(checkpoint: Path) -> None:
    link = checkpoint.with_name(f"{TEMPORARY}latest-{uuid.uuid4().hex}")
    link.symlink_to(checkpoint.name)
    link.replace(checkpoint.with_name(LATEST))


def _require_step(step: int, expected: int) -> None:
    if step != expected:
        raise ValueError(f"its manifest is of step {step}")


def _read_verified(path: Path, expected: Mapping[str, Any]) -> bytes:
    content = path.read_bytes()
    if len(content) != expected["size"]:
        raise ValueError(f"{path.name} has {len(content)} bytes instead of {expected['size']}")
    if hashlib.sha256(content).hexdigest() != expected["sha256"]:
        raise ValueError(f"{path.name} does not have its sha256")
    return content
