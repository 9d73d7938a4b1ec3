"""The record of a run, `config.json`: everything needed to repeat it, and the history of its settings.

The file describes the newest process of the run. Its list `history` has one entry per process, with the environment
steps and the time of its start, the settings that differ from those before (all of them in the first entry), the
commit, and the versions of the packages. Entries are appended and never changed.
"""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from redox_balancer.files import write_whole
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.checkpoint import Checkpoint
from redox_balancer.version import __version__

RECORD = "config.json"
PACKAGE = Path(__file__).parents[1]
_PACKAGES = ("numpy", "torch", "gymnasium", "ray", "safetensors", "array-api-compat")
RENAMED = {"figure_sets": "parameter_samples"}  # entries that runs of version 0.1 recorded under another name


def write_record(
    run_dir: Path,
    config: TrainConfig,
    task: Mapping[str, Any],
    environment: Mapping[str, Any],
    *,
    restored: Checkpoint | None,
    warn: Callable[[str], Any],
) -> None:
    """Write `config.json`, with an entry for this process appended to its history.

    `task` is what the environments were made from, ready for JSON, and `environment` their fingerprint. `warn` is
    called where the earlier history cannot be read. An OSError leaves an earlier file unchanged.
    """
    try:
        before = _read(run_dir / RECORD)
    except ValueError as error:
        warn(f"{run_dir / RECORD} is damaged, its history of settings is lost: {error}")
        before = {}
    settings = config.model_dump(mode="json")
    known = before.get("settings", {})
    versions = {name: package_version(name) for name in _PACKAGES}
    versions = {"redox_balancer": __version__, "python": platform.python_version(), **versions}
    origin = {"git_commit": source_commit(), "versions": versions}
    entry = {
        "step": restored.step if restored else 0,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "resumed_from": str(restored.path) if restored else None,
        "settings": {name: value for name, value in settings.items() if name not in known or known[name] != value},
        **origin,
    }
    record: dict[str, Any] = {"settings": settings, "task": dict(task), "environment": dict(environment), **origin}
    record["history"] = [*_history(before), entry]
    write_whole(run_dir / RECORD, json.dumps(record, indent=1).encode())


def _read(path: Path) -> Mapping[str, Any]:
    """Return a record, empty where there is no file; a ValueError where it is damaged."""
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
        raise ValueError("it has no settings")  # noqa: TRY004 - as for JSON that is none
    return record


def _history(record: Mapping[str, Any]) -> list[Any]:
    """Return the history in a record; version 0.1 kept the settings of the last process only."""
    if not record or "history" in record:
        return list(record.get("history", ()))
    names = ("settings", "git_commit", "versions")
    return [{"step": None, "time": None, "resumed_from": None, **{name: record.get(name) for name in names}}]


def source_commit(package: Path = PACKAGE) -> str | None:
    """Return the commit of the source code, with `-dirty` where a file of the package differs from it.

    The environment variable REDOX_COMMIT, which an image sets, overrides the commit of a checkout. None where the
    package is not part of a Git repository, even if its folder lies inside of one (installed in a virtual environment
    of another project).
    """
    if given := os.environ.get("REDOX_COMMIT"):
        return given
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        # Variables of a Git hook would name another repository.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            [git, "-C", str(package), *arguments], capture_output=True, text=True, check=False, env=environment
        )
        return answer.stdout.strip() if answer.returncode == 0 else None

    if ask("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit, changes = ask("rev-parse", "HEAD"), ask("status", "--porcelain", "--", ".")
    return f"{commit}-dirty" if commit and changes else commit or None


def differing_entries(ours: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Names of the entries of an environment's fingerprint that differ from those a run has recorded."""
    now = json.loads(json.dumps(dict(ours)))
    then = {RENAMED.get(name, name): entry for name, entry in recorded.items()}
    return sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
