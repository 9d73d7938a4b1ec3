"""Resource usage of processes, and the limits of the machine: memory, disk, descriptors, threads, cores."""

import ctypes
import math
import os
import platform
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

MEBIBYTE = 2**20
SOURCE = Path(__file__).absolute().parents[1]  # folder that this package is imported from
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Ray's own place for the object store
CGROUP = Path("/sys/fs/cgroup")
# Measured on 2 cores: largest virtual size of `redox model info`, of a training in one process, and with 2 actors.
ADDRESS_SPACE_BYTES = {"a command": 502e6, "a training": 1_197e6, "a training with actors": 3_370e6}
MARGIN = 1.3
MOST_DESCRIPTORS = 2**20
"""Upper bound of the raised soft limit, the kernel's usual maximum: some programs iterate over every permitted
descriptor."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def in_own_source() -> bool:
    """Whether the working folder is `SOURCE`: a checkout that may not be installed anywhere."""
    try:
        return Path.cwd() == SOURCE
    except FileNotFoundError:  # it was removed
        return False


@dataclass(frozen=True)
class MachineLimits:
    """Resources of the machine that this process may use; `math.inf` where there is no limit.

    Limits are of open descriptors of one process and of threads of this user or container. Free are the space for the
    object store (None where the system has no such place) and where the run is written, and memory.
    """

    files_soft: float
    files_hard: float
    threads_limit: float
    threads: int
    shared_memory_bytes: int | None
    disk_bytes: int
    memory_bytes: int
    cores: int
    environment: Mapping[str, str]


def machine(run_dir: Path) -> MachineLimits:
    """Query the limits of this machine; the folder of the run need not exist yet."""
    files = [_limit(value) for value in resource.getrlimit(resource.RLIMIT_NOFILE)]
    # The kernel does not enforce the limit of processes for root.
    by_user = math.inf if os.geteuid() == 0 else _limit(resource.getrlimit(resource.RLIMIT_NPROC)[1])
    in_container = _cgroup("pids.max")
    if in_container < by_user:
        threads_limit, threads = in_container, int(_cgroup("pids.current"))
    else:
        threads_limit, threads = by_user, 0 if math.isinf(by_user) else _threads_of_this_user()
    existing = next(folder for folder in (run_dir.absolute(), *run_dir.absolute().parents) if folder.is_dir())
    return MachineLimits(
        files_soft=files[0],
        files_hard=files[1],
        threads_limit=threads_limit,
        threads=threads,
        shared_memory_bytes=psutil.disk_usage(str(SHARED_MEMORY)).free if SHARED_MEMORY.is_dir() else None,
        disk_bytes=psutil.disk_usage(str(existing)).free,
        memory_bytes=memory().available_bytes,
        cores=len(os.sched_getaffinity(0)),
        environment=dict(os.environ),
    )


class Memory(NamedTuple):
    """Available and total memory, bytes."""

    available_bytes: int
    total_bytes: int


def memory() -> Memory:
    """Return the memory of this machine or, where that is smaller, of this container."""
    whole = psutil.virtual_memory()
    limit = _cgroup("memory.max")
    if limit >= whole.total:
        return Memory(whole.available, whole.total)
    # The kernel reclaims its file cache before it runs out of memory.
    left = limit - _cgroup("memory.current", absent=0.0) + _file_cache_bytes()
    return Memory(int(min(whole.available, left)), int(limit))


def _file_cache_bytes() -> int:
    try:
        lines = (CGROUP / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _limit(value: int) -> float:
    return math.inf if value == resource.RLIM_INFINITY else value


def _cgroup(name: str, *, absent: float = math.inf) -> float:
    """Return a value of this container's control group (version 2), `absent` where there is none."""
    try:
        text = (CGROUP / name).read_text().strip()
    except OSError:
        return absent
    return math.inf if text == "max" else float(text)


def _threads_of_this_user() -> int:
    mine = os.getuid()
    found = (process.info for process in psutil.process_iter(["uids", "num_threads"]))
    return sum(info["num_threads"] or 0 for info in found if info["uids"] and info["uids"].real == mine)


def address_space_limit() -> int | None:
    """Return the limit of the virtual size of this process, bytes; None where there is none."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def require_address_space(what: str) -> None:
    """Raise a RedoxError if the limit of the virtual size is too low for a key of `ADDRESS_SPACE_BYTES`.

    Numerical libraries hang or abort where an allocation fails while they are loaded.
    """
    limit, needed = address_space_limit(), MARGIN * ADDRESS_SPACE_BYTES[what]
    if limit is not None and limit < needed:
        raise RedoxError(
            f"the memory limit of this process is {limit / 1e6:,.0f} MB; {what} needs {needed / 1e6:,.0f} MB",
            hint="raise it: ulimit -v unlimited, or the limit of the batch system",
        )


def raise_file_limit() -> None:
    """Raise this process's soft limit of open descriptors as far as allowed; child processes inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class ProcessStats(NamedTuple):
    """Memory that would be free if a process ended (unique set size), its open descriptors and its threads.

    Unlike the resident size that does not count the object store, which all processes of a node share.
    """

    uss_bytes: int
    descriptors: int
    threads: int


def process_stats(pid: int | None = None) -> ProcessStats:
    """Measure a process, the calling one if `pid` is None.

    A psutil.NoSuchProcess if there is none, a psutil.AccessDenied if it belongs to another user.
    """
    process = psutil.Process(pid)
    with process.oneshot():
        return ProcessStats(process.memory_full_info().uss, process.num_fds(), process.num_threads())


def keep_freed_memory() -> None:
    """Let the C library, where it is glibc, keep freed memory: the kernel has to clear each new page."""
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(_MMAP_THRESHOLD, 2**25)
        set_option(_TRIM_THRESHOLD, 2**30)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Linear algebra on one thread: with arrays as small as ours more threads only wait for each other."""
    with _blas().limit(limits=1, user_api="blas"):
        yield


@cache
def _blas() -> "ThreadpoolController":
    """The libraries that NumPy has loaded; finding them takes longer than an episode."""
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - only where there is linear algebra

    return ThreadpoolController()


def processor() -> str:
    """Name of the processor; empty where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
