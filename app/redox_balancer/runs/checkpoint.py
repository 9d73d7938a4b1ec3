"""Checkpoints of a run: folders `step_000932960` that are complete or absent.

A checkpoint is written under a temporary name that readers ignore, every file is flushed to disk, the manifest with
size and sha256 of all files comes last, then the folder is renamed. Readers verify the manifest before they use a
file. Arrays are safetensors and the rest is JSON, so loading a foreign checkpoint runs none of its code.

This module imports neither Ray nor torch, so that tools which only verify or fetch checkpoints stay light.
"""

import filecmp
import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
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
from redox_balancer.runs.manifest import MANIFEST, Manifest, check_file, read_manifest, write_manifest

ARRAYS, STATE = "arrays.safetensors", "state.json"
LATEST, BEST = "latest", "best"
_REPLACED = "replaced_"  # prefix of a checkpoint while another one of the same step takes its place
_DAMAGED = "damaged_"  # prefix of a checkpoint that was set aside
# The predecessor of this project named its folders without leading zeros.
_NAME = re.compile(rf"(?:{_REPLACED})?step_(\d+)")

State = Mapping[str, Any]


class DamagedCheckpointError(RedoxError):
    """A checkpoint does not match its manifest."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A verified checkpoint: its folder, environment steps, arrays by name and the rest of the state."""

    path: Path
    step: int
    arrays: Mapping[str, NDArray[Any]]
    state: State


class FoundCheckpoint(NamedTuple):
    """An intact checkpoint, and the damaged ones that are newer with the reason for each."""

    checkpoint: Checkpoint
    damaged: Mapping[Path, str]


def save(run: Path, step: int, arrays: Mapping[str, NDArray[Any]], state: State) -> Path:
    """Write a checkpoint of named arrays, and of a state that is ready for JSON, into the folder of a run.

    A checkpoint of the same step is replaced. When anything fails (OSError: disk full, no permission) the partial
    checkpoint is removed and the earlier ones are unchanged.
    """
    final = run / folder_name(step)
    partial = run / f"{TEMPORARY}{final.name}-{uuid.uuid4().hex}"
    try:
        partial.mkdir(parents=True)
        contents = {
            ARRAYS: save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()}),
            STATE: json.dumps(state, indent=1).encode(),
        }
        contents[MANIFEST] = write_manifest(step, contents)
        for name, content in contents.items():
            write_synced(partial / name, content)
        sync_folder(partial)
        # A kill between the two renames leaves the old one readable, see `steps`.
        before = steps(run).get(step)
        replaced = before.rename(run / f"{_REPLACED}{final.name}") if before else None
        partial.rename(final)
        sync_folder(run)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if replaced is not None:
        _remove(replaced)
    return final


def steps(run: Path) -> dict[int, Path]:
    """Return the checkpoint folders of a run by step, newest first, unverified."""
    if not run.is_dir():
        return {}
    found: dict[int, Path] = {}
    # Of several folders of one step the one that this version names so comes first, a replaced one last.
    for path in sorted(run.iterdir(), key=lambda path: (path.name.startswith(_REPLACED), path.name)):
        if match := _NAME.fullmatch(path.name):
            found.setdefault(int(match[1]), path)
    return dict(sorted(found.items(), reverse=True))


def folder_name(step: int) -> str:
    """Return the name of the folder of a checkpoint."""
    return f"step_{step:09d}"


def step_of(path: Path) -> int:
    """Return the environment steps in the name of a checkpoint folder; a RedoxError where `path` is not one."""
    if path.is_dir():
        if match := _NAME.fullmatch(path.resolve().name):
            return int(match[1])
        with suppress(OSError, ValueError, KeyError, TypeError):
            if path.name in (LATEST, BEST):  # a folder where the run was copied and its links followed
                return int(json.loads((path / MANIFEST).read_bytes())["step"])
    raise RedoxError(
        f"{path} is not a checkpoint", hint="name a folder like step_000932960, or a run's folder that holds some"
    )


def load(path: Path) -> Checkpoint:
    """Read and verify one checkpoint folder; the state of an older format is converted to that of this version.

    A RedoxError where `path` is not a checkpoint, or one of a newer format; a DamagedCheckpointError where a file
    does not match the manifest.
    """
    manifest, contents = read(path)
    with _as_damage(path):
        state: State = json.loads(contents[STATE])
        if manifest.schema == 1:  # it did not record returns and the best checkpoint
            state = {"return_mean": None, "best": None, **state}
        return Checkpoint(path, manifest.step, load_arrays(contents[ARRAYS]), state)


def read(path: Path) -> tuple[Manifest, Mapping[str, bytes]]:
    """Read and verify one checkpoint folder: the bytes by file, the manifest last; errors as those of `load`."""
    step = step_of(path)
    with _as_damage(path):
        written = (path / MANIFEST).read_bytes()
        manifest = read_manifest(written, step, str(path))
        files = {name: (path / name).read_bytes() for name in manifest.files}
        for name, entry in manifest.files.items():
            check_file(name, entry, len(files[name]), hashlib.sha256(files[name]).hexdigest())
        return manifest, {**files, MANIFEST: written}


@contextmanager
def _as_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DamagedCheckpointError(
            f"checkpoint {path} is damaged: {error}", hint="resume from another one of the same run"
        ) from error


def find(path: Path) -> FoundCheckpoint:
    """Read a checkpoint folder, or the newest intact checkpoint in the folder of a run.

    A RedoxError if there is none, a DamagedCheckpointError if all are damaged.
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
    """Read the policy of a checkpoint folder, or of the newest intact checkpoint in the folder of a run.

    A RedoxError where there is none.
    """
    newest = find(path).checkpoint
    return Policy(PolicyShape.from_dict(newest.state["policy"]), newest.arrays["parameters"])


def damaged(run: Path) -> list[Path]:
    """Return the damaged checkpoints of a run that were set aside."""
    return sorted(run.glob(f"{_DAMAGED}*")) if run.is_dir() else []


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint so that readers ignore it and its step can be saved again."""
    aside = path.with_name(f"{_DAMAGED}{path.name}-{uuid.uuid4().hex[:8]}")
    path.rename(aside)
    return aside


def retained(saved: Collection[int], *, newest: int, every: int = 0, best: int | None = None) -> set[int]:
    """Return the steps whose checkpoints are kept of those that exist: the newest ones, and `best`.

    The first checkpoint at or after each multiple of `every` steps is kept permanently; 0 for none.
    """
    stay = set(sorted(saved)[-newest:]) | {step for step in saved if step == best}
    if every:
        first: dict[int, int] = {}
        for step in sorted(saved):
            first.setdefault(step // every, step)
        stay |= {step for multiple, step in first.items() if multiple > 0}
    return stay


def prune(run: Path, keep: int, *, every: int = 0, best: int | None = None) -> None:
    """Remove the checkpoints that are not `retained`."""
    saved = steps(run)
    for step in saved.keys() - retained(saved, newest=keep, every=every, best=best):
        _remove(saved[step])


def point(name: str, checkpoint: Path) -> None:
    """Point the link `LATEST` or `BEST` of a run at a checkpoint; people use them, readers list the folder.

    Where links were followed while the run was copied, the link is a folder. It gives way if it is equal to one of
    the checkpoints. An OSError where the file system has no links, or such a folder has other content.
    """
    link = checkpoint.with_name(name)
    if link.is_dir() and not link.is_symlink():
        if not any(_equal(link, each) for each in steps(link.parent).values()):
            raise OSError(f"{link} is a folder that equals no checkpoint: remove it")
        _remove(link)
    temporary = checkpoint.with_name(f"{TEMPORARY}{name}-{uuid.uuid4().hex}")
    try:
        temporary.symlink_to(checkpoint.name)
        temporary.replace(link)
    finally:
        temporary.unlink(missing_ok=True)


def _equal(one: Path, other: Path) -> bool:
    names, others = ({path.name for path in folder.iterdir()} for folder in (one, other))
    return names == others and not any(filecmp.cmpfiles(one, other, names, shallow=False)[1:])


def remove_leftovers(run: Path) -> None:
    """Remove the leftovers of an interrupted save; only while no other process writes into the folder."""
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


def _remove(path: Path) -> None:
    # Renamed first: an interrupted removal must not leave a folder that looks like a checkpoint.
    shutil.rmtree(path.rename(path.with_name(f"{TEMPORARY}old-{uuid.uuid4().hex}")), ignore_errors=True)
