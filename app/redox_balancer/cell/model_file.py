"""What a model file holds: compression, format and encoding, by its content: suffixes may be missing or wrong."""

import bz2
import gzip
import json
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redox_balancer.cell.repairs import Repairs, UnreadableError

FORMATS = {".json": "json", ".xml": "sbml", ".sbml": "sbml", ".mat": "mat", ".yml": "yaml", ".yaml": "yaml"}
"""Format by suffix; one of `PACKED` may follow."""
PACKED = (".gz", ".bz2", ".xz", ".zip")

_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_ZIP = b"PK\x03\x04"
DAMAGED = "the file is damaged or cut short: download or copy it again"
_HEAD = 4096
_POINTERS = {
    "version https://git-lfs.github.com": (
        "a Git LFS pointer, not the model",
        "run `git lfs pull` in its repository",
    ),
    "/annex/objects/": ("a git-annex pointer, not the model", "run `git annex get` in its repository"),
    "<!doctype html": ("a web page, not a model", "download the file itself, often behind a link named 'raw'"),
}
_YAML = re.compile(
    r"%YAML|---|!!omap|(- *)?(!!omap|(metaData|id|name|version|compartments|metabolites|reactions|genes) *:)"
)
_XML_DECLARATION = re.compile(r"<\?xml[^>]*?encoding=[\"']([\w.-]+)[\"'][^>]*\?>")


def suffixes_of(path: Path) -> tuple[str, str]:
    """Suffix of the format and that of the compression, as written and empty where there is none."""
    packed = path.suffix if path.suffix.lower() in PACKED else ""
    return Path(path.name.removesuffix(packed)).suffix, packed


def unpacked(path: Path, folder: Path, repairs: Repairs) -> tuple[str, Path]:
    """Return the format of a model file and the path of its uncompressed content, which may lie in `folder`.

    `repairs` receives a suffix that names another format than that of the content. An UnreadableError if the file is
    damaged, or no model in a known format; an OSError if it cannot be read.
    """
    if path.is_dir():
        raise UnreadableError("it is a folder", hint="name the model file in it")
    suffix, _ = suffixes_of(path)
    content = path
    for layer in range(3):
        packed = content
        with packed.open("rb") as file:
            head = file.read(_HEAD)
        opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
        if opener is None and not head.startswith(_ZIP):
            break
        content = folder / f"content{layer}"
        try:
            if opener is None:
                suffix = _unzip(packed, content) or suffix
            else:
                with opener(packed) as source, content.open("wb") as target:
                    shutil.copyfileobj(source, target)
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise UnreadableError(str(error), hint=DAMAGED) from error
    named, found = FORMATS.get(suffix.lower()), _format_in(head)
    if named is None and found is None:
        raise UnreadableError(
            f"unknown model format {suffix or 'without suffix'!r}",
            hint=f"known: {', '.join(FORMATS)}, each also with {', '.join(PACKED)}",
        )
    if found is not None and named not in (found, None):
        repairs.add(f"read as {found.upper()} despite its suffix", suffix)
    return found or named or "", content


def text_of(content: bytes, repairs: Repairs) -> str:
    """Decode UTF-8, UTF-16 or UTF-32, or what an XML declaration names; bytes that are none of it are Latin-1."""
    encoding: str = json.detect_encoding(content)
    if encoding == "utf-8" and (declared := _XML_DECLARATION.match(content[:_HEAD].decode("latin-1"))):
        encoding = declared[1]
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        repairs.add(f"not {encoding.upper()}, as expected, so read as", "Latin-1")
        return content.decode("latin-1")


def plain_xml(path: Path, folder: Path, repairs: Repairs) -> tuple[Path, str]:
    """Path and text of an XML file, rewritten where it is not UTF-8 that begins with its declaration."""
    content = path.read_bytes()
    text = _XML_DECLARATION.sub('<?xml version="1.0" encoding="UTF-8"?>', text_of(content, repairs).lstrip(), count=1)
    encoded = text.encode()
    if encoded != content:
        path = folder / "plain.xml"
        path.write_bytes(encoded)
    return path, text


def _format_in(head: bytes) -> str | None:
    """Format that the first bytes of a file show, None where they show none."""
    if not head.strip():
        raise UnreadableError("it is empty", hint="download or copy it again")
    if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        hint = "save it with -v7: save('x.mat', 'model', '-v7')"
        raise UnreadableError("it is a MAT file of version 7.3", hint=hint)
    if head.startswith(b"MATLAB"):
        return "mat"
    text = head.decode(json.detect_encoding(head), errors="ignore").lstrip()
    for sign, (what, hint) in _POINTERS.items():
        if sign in text[:200].lower() or (sign == "<!doctype html" and text[:5].lower() == "<html"):
            raise UnreadableError(f"it is {what}", hint=hint)
    if text.startswith("<"):
        return "sbml"
    if text.startswith(("{", "[")):
        return "json"
    # A YAML file may begin with anything, and the first MAT files have no signature: then the suffix counts.
    return "yaml" if _YAML.match(text) else None


def _unzip(path: Path, content: Path) -> str:
    """Write the only model in an archive to `content` and return its suffix."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith(("/", "manifest.xml"))]
        names = [name for name in names if not Path(name).name.startswith(".") and "__MACOSX" not in name]
        models = [name for name in names if suffixes_of(Path(name))[0].lower() in FORMATS] or names
        if len(models) != 1:
            found = f"the archive contains {len(models):,} files ({', '.join(sorted(models)[:3]) or 'nothing'})"
            raise UnreadableError(found, hint="unpack it and use one of the models")
        if archive.getinfo(models[0]).flag_bits & 1:
            raise UnreadableError("the archive is encrypted", hint="unpack it with its password")
        with archive.open(models[0]) as source, content.open("wb") as target:
            shutil.copyfileobj(source, target)
    return suffixes_of(Path(models[0]))[0]
