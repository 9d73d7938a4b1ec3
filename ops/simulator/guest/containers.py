#!/usr/bin/python3 -I
"""Stand-in for Docker on a simulated host: the commands that this deployment uses, without an engine.

An image is its build context with the settings of its Dockerfile; the packages that the Dockerfile installs come from
the Python environment of the simulator. A container is its entrypoint in namespaces of its own (`container.sh`); it
has a record until it is removed.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Any

# On the root disk, so that an image of the host contains them; a registry is such a folder, too.
IMAGES = Path(os.environ.get("REDOX_STAND_IN_IMAGES") or "/var/lib/docker/images")
RECORDS = Path("/run/containers")
HOME_IN = Path("/opt/redox")
HERE = Path(__file__).resolve().parent
POLL_S = 0.02
HEALTH_START_S = 180.0
CLOUD = ("AWS_", "NO_PROXY")  # a real container has these from the metadata service of its host


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(pair).partition("=")[::2] for pair in pairs if pair)


def folder_of(image: str) -> Path:
    """Return the folder of an image by its name; without a tag, `latest` is meant."""
    name = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    return IMAGES / re.sub("[/:]", "@", name)  # a part of PATH, which a colon would end


def image_settings(dockerfile: str, given: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment and the labels of the last stage of a Dockerfile for the arguments of a build."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE))
    found: dict[str, dict[str, str]] = {}
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found = {"ARG": {}, "ENV": {}, "LABEL": {}}
        if name in found:
            pairs = dict(
                word.partition("=")[::2] for word in shlex.split(Template(rest).safe_substitute(found["ARG"]))
            )
            found[name] |= {key: given.get(key, value) for key, value in pairs.items()} if name == "ARG" else pairs
    return found["ENV"], found["LABEL"]


def build(options: argparse.Namespace) -> int:
    """Store a build context as an image."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    new, context, digest = Path(tempfile.mkdtemp(dir=IMAGES, prefix=".")), Path(options.context), hashlib.sha256()
    for name in ("app", "docker"):
        shutil.copytree(context / name, new / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in sorted(path for path in new.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(new)}\0".encode() + path.read_bytes())
    arguments = dict(pair.partition("=")[::2] for pair in options.build_arg)
    environment, labels = image_settings((context / "Dockerfile").read_text(), arguments)
    image = {"Id": f"sha256:{digest.hexdigest()}", "Config": {"Env": environment, "Labels": labels}}
    (new / "image.json").write_text(json.dumps(image))
    new.chmod(0o755)
    shutil.rmtree(folder_of(options.tag), ignore_errors=True)
    new.rename(folder_of(options.tag))
    return 0


def pull(options: argparse.Namespace) -> int:
    """Copy an image from the registry of simulated AWS, which all hosts share."""
    source = Path(environment_of(1)["FOLDER"]).parents[1] / "registry" / folder_of(options.name).name
    if not source.exists():
        sys.exit(f"Error response from daemon: manifest for {options.name} not found: manifest unknown")
    if not folder_of(options.name).exists():
        IMAGES.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=IMAGES, prefix="."))
        shutil.copytree(source, new, dirs_exist_ok=True)
        new.chmod(0o755)
        new.rename(folder_of(options.name))
    return 0


def image_of(name: str) -> dict[str, Any]:
    """Return the record of an image."""
    try:
        found: dict[str, Any] = json.loads((folder_of(name) / "image.json").read_text())
    except FileNotFoundError:
        sys.exit(f"Error response from daemon: No such image: {name}")
    return found


def is_running(container: dict[str, Any]) -> bool:
    """Whether the process that waits for the end of a container is alive; a zombie is dead."""
    with suppress(OSError):
        return Path(f"/proc/{container['Pid']}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def first_process(container: dict[str, Any]) -> int:
    """Return the first process of a container; 0 if it is not running."""
    with suppress(OSError, IndexError):
        pid = container["Pid"]
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return 0


def record_of(name: str) -> Path:
    """Return the file of a container's record."""
    return RECORDS / f"{name}.json"


def container_of(name: str) -> dict[str, Any]:
    """Return a container."""
    try:
        found: dict[str, Any] = json.loads(record_of(name).read_text())
    except FileNotFoundError:
        sys.exit(f"Error response from daemon: No such container: {name}")
    return found


def write_record(container: dict[str, Any]) -> None:
    """Replace the record of a container."""
    new = record_of(container["Name"]).with_suffix(".new")
    new.write_text(json.dumps(container))
    new.replace(record_of(container["Name"]))


def run(options: argparse.Namespace) -> int:
    """Run a container to its end."""
    image, name = image_of(options.image), options.name or uuid.uuid4().hex[:12]
    if record_of(name).exists():
        sys.exit(f'Error response from daemon: Conflict. The container name "/{name}" is already in use')
    host = environment_of(1)
    # A name without a value has its value in this environment.
    given = {**os.environ, **dict(each.split("=", 1) for each in options.env if "=" in each)}
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # default size of a tmpfs
    tmp = re.search(r"^/tmp:.*size=(\d+)", "\n".join(options.tmpfs), flags=re.MULTILINE)
    limits = dict(each.partition("=")[::2] for each in options.ulimit)
    environment = {key: value for key, value in host.items() if key.startswith(CLOUD)} | image["Config"]["Env"]
    environment |= {each: given[each] for each in (pair.partition("=")[0] for pair in options.env) if each in given}
    environment |= {
        "IMAGE": str(folder_of(options.image)),
        "VENV": str(Path(host["PYTHON"]).parents[1]),
        "HOME_IN": str(HOME_IN),
        "TMP_BYTES": tmp[1] if tmp else str(half),
        "SHM_BYTES": str(options.shm_size or half),
        "NOFILE": limits.get("nofile", "0").rpartition(":")[2],
        "NPROC": limits.get("nproc", "0").rpartition(":")[2],
        "BINDS": "\n".join(options.volume),
    }
    for folder in (RECORDS, HOME_IN / "app", HOME_IN / "venv"):
        folder.mkdir(parents=True, exist_ok=True)
    space = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
    process = subprocess.Popen(
        [*space, "bash", str(HERE / "container.sh"), *options.command],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    container = {"Name": name, "Image": options.image, "Pid": process.pid, "Started": time.time()}
    write_record(container)
    code = process.wait()
    code = code if code >= 0 else 128 - code
    if options.rm:
        record_of(name).unlink(missing_ok=True)
    else:
        write_record(container | {"ExitCode": code})
    return code


def end(container: dict[str, Any], number: signal.Signals) -> None:
    """Send a signal to the first process of a container."""
    with suppress(ProcessLookupError):
        if pid := first_process(container):
            os.kill(pid, number)


def wait(container: dict[str, Any], seconds: float = float("inf")) -> bool:
    """Wait for the end of a container; return False if the time runs out."""
    deadline = time.monotonic() + seconds
    while is_running(container):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def stop(options: argparse.Namespace) -> int:
    """End a container with SIGTERM, and with SIGKILL after a time limit."""
    container = container_of(options.name)
    end(container, signal.SIGTERM)
    if not wait(container, options.time):
        end(container, signal.SIGKILL)
        wait(container)
    return 0


def remove(options: argparse.Namespace) -> int:
    """Remove a container, which is killed if it is running."""
    container = container_of(options.name)
    end(container, signal.SIGKILL)
    wait(container)
    record_of(options.name).unlink(missing_ok=True)
    return 0


def health(container: dict[str, Any]) -> str:
    """Run the health check of a container and return its health status."""
    pid = first_process(container)
    enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--root", "--wd", "bash"]
    check = [*enter, str(folder_of(container["Image"]) / "docker/healthcheck.sh")]
    if subprocess.run(check, env=environment_of(pid), capture_output=True, check=False).returncode == 0:
        return "healthy"
    return "starting" if time.time() - container["Started"] < HEALTH_START_S else "unhealthy"


def inspect(options: argparse.Namespace) -> int:
    """Show an image or a container by a template of fields."""
    if options.kind == "image":
        found = image_of(options.name)
    else:
        container = container_of(options.name)
        state: dict[str, Any] = {"Running": is_running(container), "ExitCode": container.get("ExitCode", 0)}
        if first_process(container):
            state["Health"] = {"Status": health(container)}
        found = {"Config": {"Image": container["Image"]}, "State": state}
    sys.stdout.write(fill(options.format, found) + "\n")
    return 0


def fill(template: str, data: Any) -> str:
    """Fill in a Go template of fields, and `if` of a field."""

    def field(name: str) -> Any:
        found = data
        for part in name.strip(".").split("."):
            found = found.get(part, "") if isinstance(found, dict) else ""
        return found

    chosen = re.sub(
        r"\{\{if ([.\w]+)\}\}(.*?)\{\{end\}\}", lambda found: found[2] if field(found[1]) else "", template
    )
    values = re.sub(r"\{\{([.\w]+)\}\}", lambda found: str(field(found[1])), chosen)
    return values.replace("True", "true").replace("False", "false")


def main(arguments: list[str]) -> int:
    """Run a command of Docker."""
    kind = arguments.pop(0) if arguments[0] in ("image", "container") else "container"
    parser = argparse.ArgumentParser(prog="docker")
    commands = parser.add_subparsers(required=True)
    acts = {"build": build, "pull": pull, "run": run, "inspect": inspect, "stop": stop, "rm": remove}
    known = {name: commands.add_parser(name, allow_abbrev=False) for name in acts}
    for name, act in acts.items():
        known[name].set_defaults(act=act, kind=kind)
    known["build"].add_argument("--tag", required=True)
    known["build"].add_argument("--build-arg", action="append", default=[])
    known["build"].add_argument("context")
    for flag in ("--rm", "--read-only"):
        known["run"].add_argument(flag, action="store_true")
    for option in ("--env", "--tmpfs", "--ulimit", "--volume", "--log-opt"):
        known["run"].add_argument(option, action="append", default=[])
    effectless = ("pull", "pids-limit", "stop-timeout", "cap-drop", "security-opt", "publish", "log-driver")
    for option in ("name", *effectless):
        known["run"].add_argument(f"--{option}")
    known["run"].add_argument("--shm-size", type=int)
    known["run"].add_argument("image")
    known["run"].add_argument("command", nargs=argparse.REMAINDER)
    known["inspect"].add_argument("--format", required=True)
    known["stop"].add_argument("--time", type=float, default=10.0)
    known["rm"].add_argument("--force", action="store_true")
    known["pull"].add_argument("--quiet", action="store_true")
    for name in ("inspect", "pull", "stop", "rm"):
        known[name].add_argument("name")
    options = parser.parse_args(arguments)
    code: int = options.act(options)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
