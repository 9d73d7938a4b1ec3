"""The manifest of a checkpoint: size and sha256 of every file, with a checksum of its own.

This module needs only the standard library, and so do tools that verify or fetch checkpoints with it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from redox_balancer.errors import RedoxError

SCHEMA = 2
MANIFEST = "manifest.json"


class FileEntry(NamedTuple):
    """Size in bytes and sha256 in hex of a file."""

    size: int
    sha256: str


class Manifest(NamedTuple):
    """Format of a checkpoint, its environment steps and the files beside the manifest."""

    schema: int
    step: int
    files: Mapping[str, FileEntry]


def write_manifest(step: int, contents: Mapping[str, bytes]) -> bytes:
    """Return the manifest of the checkpoint of a step, from the contents of its files."""
    files = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    manifest = {"schema": SCHEMA, "step": step, "files": files}
    return json.dumps(manifest | {"sha256": _digest(manifest)}, indent=1).encode()


def read_manifest(content: bytes, step: int, name: str) -> Manifest:
    """Read and check the manifest of the checkpoint of a step; errors call it `name`.

    A ValueError if it is damaged, a RedoxError if its format is newer than this version reads.
    """
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{MANIFEST} is not valid JSON: {error}") from error
    _require(isinstance(manifest, dict), f"{MANIFEST} is not a JSON object")
    digest = manifest.pop("sha256", None)
    try:
        schema = manifest["schema"]
        _require(isinstance(schema, int) and schema >= 1, f"there is no checkpoint format {schema!r}")
        # Schema 1 had no checksum of the manifest itself.
        intact = digest == _digest(manifest) or (digest is None and schema == 1)
        _require(intact, f"{MANIFEST} does not match its sha256")
        if schema > SCHEMA:  # the rest may look different
            raise RedoxError(
                f"{name} has checkpoint format {schema}, this version reads up to {SCHEMA}",
                hint="use the version of redox_balancer that wrote it, or a newer one",
            )
        files = dict(manifest["files"])
        _require(manifest["step"] == step, f"its manifest belongs to step {manifest['step']}")
        # Names become paths, and the manifest may come from elsewhere.
        bad = [name for name in files if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name) or name == MANIFEST]
        _require(not bad, f"{MANIFEST} has the invalid file names {bad}")
        entries = {name: FileEntry(int(entry["size"]), str(entry["sha256"])) for name, entry in files.items()}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{MANIFEST} is incomplete: {error}") from error
    return Manifest(schema, step, entries)


def check_file(name: str, expected: FileEntry, size: int, sha256: str) -> None:
    """Compare a file with its manifest; a ValueError where it differs."""
    _require(size == expected.size, f"{name} has {size} bytes instead of {expected.size}")
    _require(sha256 == expected.sha256, f"{name} does not match its sha256")


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ValueError(otherwise)
