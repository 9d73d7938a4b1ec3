"""Images of the simulated engine: the build context, and the settings of its Dockerfile."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shlex
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from string import Template
from typing import Any

IMAGES = Path("/var/lib/docker/images")


class ApiError(Exception):
    """An error response of the engine."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Return the instructions of the last stage."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE))
    lines = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    last = max(at for at, (name, _, _) in enumerate(lines) if name == "FROM")
    return [(name, rest.strip()) for name, _, rest in lines[last:]]


def image_settings(dockerfile: str, given: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment and the labels of a Dockerfile for the arguments of a build."""
    found: dict[str, dict[str, str]] = {"ARG": {}, "ENV": {}, "LABEL": {}}
    for name, rest in instructions(dockerfile):
        if name in found:
            text = Template(rest).safe_substitute(found["ARG"])
            pairs = dict(word.partition("=")[::2] for word in shlex.split(text))
            found[name] |= {key: given.get(key, value) for key, value in pairs.items()} if name == "ARG" else pairs
    return found["ENV"], found["LABEL"]


def digest(folder: Path) -> str:
    """Return a digest of all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def with_tag(name: str) -> str:
    """Return the name of an image with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


class SimulatedImages:
    """The images, on the root disk, so that an image of the host contains them."""

    def __init__(self) -> None:
        IMAGES.mkdir(parents=True, exist_ok=True)

    def all(self) -> list[dict[str, Any]]:
        """Return the properties of all images."""
        return [json.loads(path.read_text()) for path in sorted(IMAGES.glob("*/image.json"))]

    def find(self, name: str) -> dict[str, Any]:
        """Return an image by its id or one of its names."""
        for image in self.all():
            hexadecimal = image["Id"].removeprefix("sha256:")
            if with_tag(name) in image["RepoTags"] or hexadecimal.startswith(name.removeprefix("sha256:")):
                return image
        raise ApiError(404, f"No such image: {with_tag(name)}")

    def build(self, context: bytes, tags: list[str], arguments: dict[str, str]) -> dict[str, Any]:
        """Store a build context as an image."""
        content = gzip.decompress(context) if context[:2] == b"\x1f\x8b" else context
        new = Path(tempfile.mkdtemp(dir=IMAGES, prefix="."))
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(new)  # noqa: S202 - of our own client; Python 3.11.2, of Debian 12, knows no filter
        environment, labels = image_settings((new / "Dockerfile").read_text(), arguments)
        name = digest(new)
        size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
        image = {
            "Id": f"sha256:{name}",
            "RepoTags": [],
            "Created": time.strftime("%FT%TZ", time.gmtime()),
            "Architecture": "amd64",
            "Os": "linux",
            "Size": size,
            "Config": {"Env": [f"{key}={value}" for key, value in environment.items()], "Labels": labels},
        }
        if (IMAGES / name).exists():
            shutil.rmtree(new)
        else:
            (new / "image.json").write_text(json.dumps(image))
            new.chmod(0o755)
            new.rename(IMAGES / name)
        for tag in tags:
            self.tag(name, tag)
        return self.find(name)

    def tag(self, name: str, tag: str) -> None:
        """Add a tag to an image, and remove it from any other."""
        wanted, tag = self.find(name)["Id"], with_tag(tag)
        for image in self.all():
            tags = set(image["RepoTags"]) - {tag} | ({tag} if image["Id"] == wanted else set())
            path = IMAGES / image["Id"].removeprefix("sha256:") / "image.json"
            path.write_text(json.dumps(image | {"RepoTags": sorted(tags)}))
