"""Programs of this machine that the commands call, and their versions."""

import re
import shutil
import subprocess
from typing import NamedTuple

from redox_balancer.errors import RedoxError


class Program(NamedTuple):
    """How a program prints its version, the oldest major version that works, and how to get it."""

    asked: str
    oldest: int
    hint: str


CONNECTING = {
    "aws": Program("--version", 2, "install the AWS CLI, version 2"),
    "session-manager-plugin": Program("--version", 0, "install the Session Manager plugin of the AWS CLI"),
    "ssh": Program("-V", 0, "install OpenSSH's client"),
}
ALL = {
    "node": Program("--version", 20, "install node 22 or newer, with npm"),
    "npm": Program("--version", 0, "install node 22 or newer, with npm"),
    "docker": Program("--version", 0, "install Docker; or set container.image_build to cloud; or --image"),
    "docker buildx": Program("version", 0, "install Docker's BuildKit: the package docker-buildx"),
    **CONNECTING,
}
LOCAL_BUILD = ("docker", "docker buildx")


def version(name: str) -> str:
    """Return the version of a program, empty where it is missing or does not answer."""
    command = [*name.split(), ALL[name].asked]
    if shutil.which(command[0]) is None:
        return ""
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - one of those above
    found = re.search(r"\d+(\.\w+)*", answer.stdout + answer.stderr)  # ssh writes to stderr
    return found[0] if found and not answer.returncode else ""


def require_connecting() -> None:
    """Raise a RedoxError if a program that reaches the host is missing."""
    for name, program in CONNECTING.items():
        if shutil.which(name) is None:
            raise RedoxError(f"{name} is not installed on this machine", hint=program.hint)
