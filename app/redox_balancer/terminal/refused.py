"""What the operating system refused, as an error that a user can act on: memory, threads, disk, a folder."""

import errno
import os
import resource
from concurrent.futures import BrokenExecutor

from redox_balancer.errors import EXIT_UNREACHABLE, RedoxError
from redox_balancer.resources import address_space_limit

# What programs and libraries say where they have no exception of their own.
NO_MEMORY = ("failed to map segment", "cannot allocate memory", "unable to allocate", "bad_alloc", "out of memory")
NO_THREAD = "can't start new thread"


def refused(error: BaseException) -> RedoxError | None:
    """Return the error that a user sees; None for one that the operating system has no part in."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        return out_of_memory()
    if isinstance(error, (BrokenExecutor, BrokenPipeError)):
        return RedoxError(
            "a process that this command had started ended early",
            hint="did memory run out (dmesg), or may this user not run Python there? --debug shows where it was used",
            exit_code=EXIT_UNREACHABLE,
        )
    if isinstance(error, RuntimeError) and NO_THREAD in text:
        return RedoxError(
            f"no further thread can be started: this user may have {resource.getrlimit(resource.RLIMIT_NPROC)[0]}",
            hint="raise the limit of processes (ulimit -u), in a container --pids-limit",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(error)
    return None


def out_of_memory() -> RedoxError:
    """Return the error of a failed allocation, which names the limit of this process if it has one."""
    limit = address_space_limit()
    if limit is None:
        return RedoxError(
            "memory ran out", hint="end other programs, or use a machine with more", exit_code=EXIT_UNREACHABLE
        )
    return RedoxError(
        f"memory ran out: the limit of this process is {limit / 1e6:,.0f} MB", hint="raise it (ulimit -v)"
    )


def _of_system(error: OSError) -> RedoxError | None:
    try:
        os.getcwd()  # noqa: PTH109 - the call that fails
    except FileNotFoundError:
        return RedoxError("the working folder was removed", hint="change to another folder and try again")
    hints = {
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
        errno.ENOSPC: "free some disk",
        errno.EDQUOT: "free some disk: the quota of this user is used up",
    }
    what = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or os.strerror(error.errno or 0)
    return RedoxError(
        f"{what}{reason[:1].lower()}{reason[1:]}",
        hint=hints.get(error.errno or 0, "check the path, its permissions and free space; --debug shows where"),
    )
