"""Public models: download, check by content, pin.

A download is checked by what the model is (sizes, optimum) the first time, and by its sha256 from then on. The
cache holds one file for each model and `pins.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

from redox_balancer.cell.download import discard, download
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.models import load_model, to_network
from redox_balancer.cell.records import Record, packaged, pick, read_records
from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically, written_atomically
from redox_balancer.progress import Progress, no_progress

CACHE_VARIABLE = "REDOX_CACHE"
LEAST_OPTIMUM = 1e-6
OPTIMUM_TOLERANCE = 1e-6
"""Relative; solvers agree to about 1e-8."""


class PublicModel(Record):
    """A model that can be fetched, with what is known of its content.

    Attributes
    ----------
    description, url, license, source
        What it is, where it lies, on what terms, and where its figures come from.
    reactions, metabolites, genes, objective, optimum
        What the file must hold; not checked where not given. The optimum is with the model's own bounds.
    """

    description: str
    url: str
    license: str
    source: str
    reactions: int | None = None
    metabolites: int | None = None
    genes: int | None = None
    objective: str | None = None
    optimum: float | None = None


@dataclass(frozen=True)
class ModelContent:
    """What a model file holds; `optimum` is that of its own objective with its own bounds."""

    reactions: int
    metabolites: int
    genes: int
    objective: str
    optimum: float


@dataclass(frozen=True)
class Pin:
    """A file that passed its check: name in the cache, sha256 and content."""

    file: str
    sha256: str
    content: ModelContent


@dataclass(frozen=True)
class Fetched:
    """A model in the cache, and whether this call brought it there."""

    model: str
    path: Path
    sha256: str
    content: ModelContent
    new: bool


@cache
def load_catalogue() -> dict[str, PublicModel]:
    """Public models by name."""
    return read_records(packaged("models.toml"), "model", PublicModel)


def cache_folder() -> Path:
    """Folder of fetched models: `REDOX_CACHE`, or the user's cache folder."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else user_cache_path("redox_balancer")


def fetch_model(
    name: str,
    *,
    file: Path | None = None,
    mirror: str | None = None,
    folder: Path | None = None,
    repin: bool = False,
    progress: Progress = no_progress,
    wait_s: float = 1.0,
) -> Fetched:
    """Bring a public model into the cache, checked.

    Parameters
    ----------
    name
        In the catalogue.
    file
        A file to take in place of a download.
    mirror
        Address of a folder that holds the file under its own name, in place of the catalogue's server.
    folder
        In place of the cache.
    repin
        Accept a file whose sha256 differs from the pinned one, if its content is right, and pin it.
    progress, wait_s
        As in `download`.

    Raises
    ------
    RedoxError
        Unknown name, no network, wrong content, or not the file that was pinned.
    """
    entry = pick(load_catalogue(), name, "model")
    folder = cache_folder() if folder is None else folder
    pins = _read_pins(folder)
    pinned = pins.get(name)
    if pinned is not None and file is None and not repin:
        path = folder / pinned.file
        if path.is_file() and sha256_of(path) == pinned.sha256:
            return Fetched(name, path, pinned.sha256, pinned.content, new=False)
    trusted = None if repin or pinned is None else pinned
    if file is not None:
        pin = _checked(entry, file, trusted)
        path = folder / pin.file
        with written_atomically(path) as target:
            shutil.copyfile(file, target)
    else:
        pin, path = _download(entry, folder, mirror=mirror, pinned=trusted, progress=progress, wait_s=wait_s)
    if pin != pinned:
        _write_pins(folder, pins | {name: pin})
    return Fetched(name, path, pin.sha256, pin.content, new=True)


def content_of(path: Path, objective: str | None = None) -> ModelContent:
    """Sizes of a model file and the optimum of an objective, its own if not given."""
    model = load_model(path).model
    network = to_network(model, objective)
    with FluxLP(network) as lp:
        solution = lp.maximise()
    if not solution.optimal:
        raise RedoxError(
            f"{path}: {network.objective} has no optimum with the model's own bounds ({solution.status.value})",
            hint="the file is not the model it should be: get it again",
        )
    return ModelContent(
        len(network.reactions), len(network.metabolites), len(model.genes), network.objective, solution.objective
    )


def sha256_of(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(
    entry: PublicModel,
    folder: Path,
    *,
    mirror: str | None,
    pinned: Pin | None,
    progress: Progress,
    wait_s: float,
) -> tuple[Pin, Path]:
    url = entry.url if mirror is None else f"{mirror.rstrip('/')}/{entry.url.rpartition('/')[2]}"
    suffix = _suffix_of(Path(entry.url))
    # The suffix stays last, because it tells the format to the check.
    part = folder / f"{entry.id}.part{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RedoxError(
            f"cannot make the folder {folder}: {error.strerror}", hint=f"name another with --to or {CACHE_VARIABLE}"
        ) from error
    download(url, part, progress, wait_s=wait_s)
    progress(f"checking {entry.id}")
    try:
        pin = _checked(entry, part, pinned)
        path = folder / pin.file
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except RedoxError:
        # What fails its check is of no use as the beginning of another download.
        discard(part)
        raise
    discard(part)
    return pin, path


def _checked(entry: PublicModel, path: Path, pinned: Pin | None) -> Pin:
    """Pin of a file that is what it should be."""
    if not path.is_file():
        raise RedoxError(f"no file {path}", hint="check the path given to --from")
    checksum = sha256_of(path)
    if pinned is not None and checksum != pinned.sha256:
        raise RedoxError(
            f"{entry.id} is not the file that was pinned: sha256 {checksum[:12]}..., pinned {pinned.sha256[:12]}...",
            hint="it changed at its source; if you trust the new one: --repin (its content is checked again)",
        )
    content = content_of(path, entry.objective)
    for quantity in ("reactions", "metabolites", "genes"):
        expected, found = getattr(entry, quantity), getattr(content, quantity)
        if expected is not None and found != expected:
            raise _wrong(entry, f"{found:,} {quantity} instead of {expected:,}")
    if content.optimum < LEAST_OPTIMUM:
        raise _wrong(entry, f"an optimum of {content.optimum:g} for {content.objective}: it does not grow")
    if entry.optimum is not None and abs(content.optimum - entry.optimum) > OPTIMUM_TOLERANCE * entry.optimum:
        raise _wrong(entry, f"an optimum of {content.optimum:.7g} instead of {entry.optimum:.7g}")
    return Pin(f"{entry.id}{_suffix_of(path)}", checksum, content)


def _wrong(entry: PublicModel, what: str) -> RedoxError:
    return RedoxError(
        f"the file is not {entry.id}: it has {what}", hint=f"get it from {entry.url} and take it with --from FILE"
    )


def _suffix_of(path: Path) -> str:
    """Suffix that tells the format, with `.gz` where the name has that."""
    return Path(path.stem).suffix + path.suffix if path.suffix == ".gz" else path.suffix


def _read_pins(folder: Path) -> dict[str, Pin]:
    path = folder / "pins.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Pin(pin["file"], pin["sha256"], ModelContent(**pin["content"])) for name, pin in document.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RedoxError(
            f"cannot read the pinned checksums in {path}: {error}",
            hint="remove that file: models are checked by content and pinned anew",
        ) from error


def _write_pins(folder: Path, pins: dict[str, Pin]) -> None:
    document = {name: asdict(pin) for name, pin in sorted(pins.items())}
    write_atomically(folder / "pins.json", (json.dumps(document, indent=1) + "\n").encode())
