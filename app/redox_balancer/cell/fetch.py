"""Public models: download, verification and pinned checksums.

The first download of a model is verified by its content (sizes, optimum), later ones by the sha256 checksum that was
pinned then. The cache contains one file per model and `pins.json`.
"""

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
from redox_balancer.cell.model_file import suffixes_of
from redox_balancer.cell.models import load_model, to_network
from redox_balancer.cell.records import Record, packaged, pick, read_records
from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically, written_atomically
from redox_balancer.progress import Progress, no_progress

CACHE_VARIABLE = "REDOX_CACHE"
MIN_OPTIMUM = 1e-6  # smallest accepted optimum, 1/h
OPTIMUM_TOLERANCE = 1e-6  # largest accepted relative difference of the optimum; solvers agree to about 1e-8


class PublicModel(Record):
    """A model that can be fetched, and the content that its file should have, by `source`; None is not verified."""

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
    """Content of a model file; `optimum` is that of `objective` with the model's own bounds."""

    reactions: int
    metabolites: int
    genes: int
    objective: str
    optimum: float


@dataclass(frozen=True)
class Pin:
    """A verified file: its name in the cache, sha256 checksum and content."""

    file: str
    sha256: str
    content: ModelContent


@dataclass(frozen=True)
class Fetched:
    """A model of the catalogue in the cache, and whether this call added or replaced its file."""

    model: str
    path: Path
    sha256: str
    content: ModelContent
    new: bool


@cache
def load_catalogue() -> dict[str, PublicModel]:
    """Return the public models by name."""
    return read_records(packaged("models.toml"), "model", PublicModel)


def cache_folder() -> Path:
    """Return the folder of fetched models: `REDOX_CACHE`, by default the user's cache folder."""
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
    """Add a verified public model, by its name in the catalogue, to the cache.

    A RedoxError if the name is unknown, the download failed, or the file has the wrong content or checksum.

    Parameters
    ----------
    file
        Local file to use instead of a download.
    mirror
        Address of a folder that contains the file under its original name, used instead of the catalogue's server.
    folder
        Folder to use instead of the cache.
    repin
        Accept a file whose sha256 differs from the pinned one, provided that its content is correct, and pin it.
    progress, wait_s
        See `download`.
    """
    entry = pick(load_catalogue(), name, "model")
    folder = cache_folder() if folder is None else folder
    pins = _read_pins(folder)
    pinned = pins.get(name)
    if pinned is not None and file is None and not repin:
        path = folder / pinned.file
        if path.is_file() and sha256_of(path) == pinned.sha256:
            return Fetched(name, path, pinned.sha256, pinned.content, new=False)
    # The suffix remains last, because the reader derives the format from it.
    part = folder / f"{name}.part{''.join(suffixes_of(Path(entry.url)))}"
    if file is None:
        _make(folder)
        address = entry.url if mirror is None else f"{mirror.rstrip('/')}/{entry.url.rpartition('/')[2]}"
        download(address, part, progress, wait_s=wait_s)
        progress(f"checking {name}")
    try:
        pin = _verified_pin(entry, file or part, None if repin else pinned)
    except RedoxError:
        if file is None:  # what fails verification must not be resumed
            discard(part)
        raise
    with written_atomically(folder / pin.file) as target:
        shutil.copyfile(file or part, target)
    if file is None:
        discard(part)
    if pin != pinned:
        document = {name: asdict(pin) for name, pin in sorted((pins | {name: pin}).items())}
        write_atomically(folder / "pins.json", (json.dumps(document, indent=1) + "\n").encode())
    return Fetched(name, folder / pin.file, pin.sha256, pin.content, new=True)


def _content_of(path: Path, objective: str | None) -> ModelContent:
    model = load_model(path).model
    network = to_network(model, objective)
    with FluxLP(network) as lp:
        solution = lp.maximise()
    if not solution.optimal:
        raise RedoxError(
            f"{path}: {network.objective} has no optimum with the model's own bounds ({solution.status.value})",
            hint="the file is not the expected model: download it again",
        )
    sizes = len(network.reactions), len(network.metabolites), len(model.genes)
    return ModelContent(*sizes, network.objective, solution.objective)


def sha256_of(path: Path) -> str:
    """Compute the sha256 checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RedoxError(
            f"cannot create the folder {folder}: {error.strerror}",
            hint=f"choose another folder, or set {CACHE_VARIABLE}",
            settings=("folder",),
        ) from error


def _verified_pin(entry: PublicModel, path: Path, pinned: Pin | None) -> Pin:
    """Verify a file and return its pin."""
    if not path.is_file():
        raise RedoxError(f"no file {path}", hint="check the path", settings=("file",))
    checksum = sha256_of(path)
    if pinned is not None and checksum != pinned.sha256:
        problem = f"the file that was pinned: sha256 {checksum[:12]}..., pinned {pinned.sha256[:12]}..."
        hint = "it changed at its source; to trust the new file, verify its content again and pin it"
        raise RedoxError(f"{entry.id} is not {problem}", hint=hint, settings=("repin",))
    content = _content_of(path, entry.objective)
    for quantity in ("reactions", "metabolites", "genes"):
        expected, found = getattr(entry, quantity), getattr(content, quantity)
        if expected is not None and found != expected:
            raise _wrong(entry, f"{found:,} {quantity} instead of {expected:,}")
    if content.optimum < MIN_OPTIMUM:
        raise _wrong(entry, f"an optimum of {content.optimum:g} for {content.objective}: it does not grow")
    if entry.optimum is not None and abs(content.optimum - entry.optimum) > OPTIMUM_TOLERANCE * entry.optimum:
        raise _wrong(entry, f"an optimum of {content.optimum:.7g} instead of {entry.optimum:.7g}")
    return Pin(f"{entry.id}{''.join(suffixes_of(path))}", checksum, content)


def _wrong(entry: PublicModel, what: str) -> RedoxError:
    hint = f"download {entry.url} yourself and use that file"
    return RedoxError(f"the file is not {entry.id}: it has {what}", hint=hint, settings=("file",))


def _read_pins(folder: Path) -> dict[str, Pin]:
    path = folder / "pins.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {name: Pin(**pin | {"content": ModelContent(**pin["content"])}) for name, pin in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RedoxError(
            f"cannot read the pinned checksums in {path}: {error}",
            hint="remove that file: models are then verified by content and pinned again",
        ) from error
