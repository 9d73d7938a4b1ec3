"""Contents of the image (the locked packages, no tools, the same files in every build), and the time of a rebuild."""

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import time
import zlib
from pathlib import Path

from commands import ran
from containers import DOCKER, SETTINGS, Engine
from infra.generated import environment
from infra.settings import ROOT
from redox_balancer.impala.cluster import RAY_ENVIRONMENT, THREAD_VARIABLES

LARGEST = 700e6  # bytes of `docker save | gzip`
PIECE, SAMPLED = 2**16, 8  # bytes of a piece, and one piece in how many is compressed
REBUILD_S = 15.0
OWN_STEPS = 3  # of the Dockerfile: copy the project's code, compile it, copy both into the image

PACKAGES = """
import json
from importlib.metadata import distributions
print(json.dumps({d.name.lower().replace("_", "-").replace(".", "-"): d.version for d in distributions()}))
"""


def test_the_image_holds_the_locked_packages_and_nothing_else(engine: Engine) -> None:
    answer = engine.run("-c", PACKAGES, options=["--entrypoint=python3"])
    found = {name: version.removesuffix("+cpu") for name, version in json.loads(answer.stdout).items()}
    lines = (ROOT / "docker" / "requirements.lock").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert found == locked
    unwanted = {"pytest", "hypothesis", "mypy", "ruff", "pip", "pip-tools", "docker", "aws-cdk-lib", "triton"}
    assert not unwanted & found.keys()
    assert not [name for name in found if name.startswith("nvidia")]
    assert json.loads(answer.stdout)["torch"].endswith("+cpu")


def test_the_image_has_the_settings_of_threads_ray_limits_and_heartbeats(engine: Engine) -> None:
    config = engine.client.images.get(engine.image).attrs["Config"]
    found = dict(each.split("=", 1) for each in config["Env"])
    assert environment(SETTINGS).items() <= found.items()
    assert RAY_ENVIRONMENT.items() <= found.items()
    threads = set(THREAD_VARIABLES) - {"VECLIB_MAXIMUM_THREADS"}  # of macOS
    assert {found[name] for name in threads} == {str(SETTINGS.threads.actor)}
    assert found["PATH"].startswith(f"{SETTINGS.container.venv}/bin:")
    uid = SETTINGS.container.uid
    assert (config["User"], config["Entrypoint"]) == (f"{uid}:{uid}", ["tini", "--", "/entrypoint.sh"])


def test_the_user_and_the_folders_are_those_of_the_settings(engine: Engine) -> None:
    container = SETTINGS.container
    folders = (container.data, container.experiments, container.spill)
    code = f"id --user; id --group; id --name --user; stat --format '%a %n' {' '.join(folders)}"
    said = engine.run("-c", code, options=["--entrypoint=bash"]).stdout.splitlines()
    assert said == [*[str(container.uid)] * 2, container.user, *(f"1777 {folder}" for folder in folders)]


def test_the_image_has_no_compiler_no_tests_and_no_name_of_this_machine(engine: Engine) -> None:
    code = (
        "for tool in gcc cc c++ g++ clang ld as make cmake pip git; do command -v $tool; done; "
        "find / -xdev '(' -name 'libcuda*' -o -name 'libnv*' -o -name 'libcublas*' -o -name pip.conf ')' -print; "
        "ls -d /opt/redox/app/tests /opt/redox/infra /opt/redox/ops /wheelhouse /build 2>/dev/null; true"
    )
    answer = engine.run("shell", "-c", code)
    assert (answer.returncode, answer.stdout) == (0, "")


def test_the_image_names_its_commit_and_is_small_enough_to_ship(engine: Engine) -> None:
    image = engine.client.images.get(engine.image)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert image.labels["org.opencontainers.image.revision"].removesuffix("-dirty") == commit.strip()
    assert any(tag.startswith(f"{SETTINGS.container.image}:{commit[:12]}") for tag in image.tags)
    size = compressed_bytes(engine.image)
    print(f"docker save | gzip -1: about {size / 1e6:.0f} MB")  # noqa: T201 - a measurement to report
    assert size <= LARGEST


def compressed_bytes(image: str) -> int:
    """Size of `docker save | gzip`, at the fastest level, which gives the largest, by a sample of its pieces."""
    with subprocess.Popen([DOCKER, "save", image], stdout=subprocess.PIPE) as save:
        pieces = iter(lambda: save.stdout.read(PIECE), b"")
        sizes = [len(zlib.compress(piece, level=1)) for piece in itertools.islice(pieces, 0, None, SAMPLED)]
    assert save.returncode == 0
    return SAMPLED * sum(sizes)


def build(image: str, folder: Path, *options: str) -> tuple[float, str]:
    """Build an image as `make image` does, from another folder; the seconds it took and the engine's log."""
    start = time.monotonic()
    given = [*os.environ.get("BUILD_OPTIONS", "").split(), *options]
    command = [DOCKER, "build", "--progress=plain", *given, "--tag", image, folder]
    built = ran(command, env=os.environ | {"DOCKER_BUILDKIT": "1"})
    assert built.returncode == 0, built.stderr
    return time.monotonic() - start, built.stderr


def uncached_steps(log: str) -> set[str]:
    """The steps of the Dockerfile that a build ran because it had no cached result of them."""
    found = re.findall(r"^#(\d+) \[(\S+) (\d+)/(\d+)\] (.*)$", log, re.MULTILINE)
    for stage in {stage for _, stage, *_ in found}:  # the log is complete
        numbers = {(int(number), int(count)) for _, other, number, count, _ in found if other == stage}
        # Stages with one base share its step, which is logged under the name of either.
        assert {number for number, _ in numbers} | {1} == set(range(1, max(numbers)[1] + 1)), stage
    steps = {step: text for step, *_, text in found if text.startswith(("RUN", "COPY"))}
    cached = re.findall(r"^#(\d+) CACHED$", log, re.MULTILINE)
    return {step for number, step in steps.items() if number not in cached}


def test_a_changed_line_is_in_the_image_within_seconds(engine: Engine, tmp_path: Path) -> None:
    for name in ("app", "docker", "Dockerfile", ".dockerignore"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "build" / "wheelhouse", tmp_path / "build" / "wheelhouse", copy_function=os.link)
    errors = tmp_path / "app" / "redox_balancer" / "errors.py"
    text = errors.read_text()
    image = f"{SETTINGS.container.image}:changed"
    try:
        took = []
        # Twice, since other load may slow the machine and the engine may have evicted cached results: the faster
        # build gives the time of a change, the second one its steps. No earlier build contains these changes.
        for code in random.SystemRandom().sample(range(1_000, 1_000_000_000), 2):
            errors.write_text(text.replace("EXIT_NONSENSE = 70", f"EXIT_NONSENSE = {code}"))
            seconds, log = build(image, tmp_path)
            took.append(seconds)
            shown = "from redox_balancer.errors import EXIT_NONSENSE; print(EXIT_NONSENSE)"
            changed = Engine(engine.client, image).run("-c", shown, options=["--entrypoint=python3"])
            assert changed.stdout == f"{code}\n"
        assert min(took) < REBUILD_S
        steps = uncached_steps(log)
        assert len(steps) == OWN_STEPS, steps
        assert all("/opt/redox/app" in step for step in steps), steps
    finally:
        engine.client.images.remove(image, force=True)


# Mode, content or link target of every file except those that the engine creates.
FILES = """
find / -xdev ! -type l ! -path '/etc/host*' ! -path /etc/resolv.conf ! -path /etc/mtab -printf '%M %U %G %p\\n'
find / -xdev -type l -printf '%p -> %l\\n'
find / -xdev -type f ! -path '/etc/host*' ! -path /etc/resolv.conf -exec sha256sum {} +
"""


def test_two_builds_of_one_commit_hold_the_same_files(engine: Engine) -> None:
    image = f"{SETTINGS.container.image}:again"
    try:
        build(image, ROOT, "--no-cache")
        first, second = (
            Engine(engine.client, name)
            .run("-c", FILES, options=["--entrypoint=bash", "--user=0"])
            .stdout.splitlines()
            for name in (engine.image, image)
        )
        assert len(first) > 10_000
        assert sorted(set(first) ^ set(second)) == []
    finally:
        engine.client.images.remove(image, force=True)
