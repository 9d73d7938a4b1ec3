"""Description of the machine of a benchmark, and a separate process for each part of it."""

import multiprocessing
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from typing import Any, ParamSpec, TypeVar

import psutil

from redox_balancer.errors import RedoxError
from redox_balancer.resources import processor

P = ParamSpec("P")
Result = TypeVar("Result")

PACKAGES = ("redox_balancer", "numpy", "swiglpk", "cobra", "gymnasium", "torch", "ray")
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def about() -> dict[str, Any]:
    """Describe hardware and versions; the load average shows whether other work was running."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def redox(*arguments: object) -> str:
    """Run a command of `redox` in a process of its own, as a user does, and return its stdout; a RedoxError of it."""
    words = list(map(str, arguments))
    command = [sys.executable, "-m", "redox_balancer", *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if ended.returncode:
        lines = ended.stderr.strip().splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error:")]
        said = errors[-1] if errors else " | ".join(lines[-3:]) or f"exit code {ended.returncode}"
        raise RedoxError(f"redox {words[0]}: {said}", hint=f"this shows more: redox {shlex.join(words)}")
    return ended.stdout


def in_own_process(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Call a function in a new process with single-threaded linear algebra, as in an actor."""
    # Its modules, NumPy among them, are imported after the initializer has run.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_use_one_thread) as pool:
        return pool.submit(function, *args, **kwargs).result()


def _use_one_thread() -> None:
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
