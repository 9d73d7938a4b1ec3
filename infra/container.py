"""The flags of `docker run` for the training container, from the settings and the limits of the machine.

A Dockerfile cannot set limits or shared memory, and a container does not read the host's limits.conf, so everything
that runs the image takes its flags from here: the host's unit, operations, `make image-run` and the tests. Only the
standard library, without the Docker SDK.
"""

import argparse
import os
import resource
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from infra.settings import Settings, SettingsError, load, store_bytes, with_room
from infra.tables import ContainerSettings, InstanceType

GIB = 2**30


@dataclass(frozen=True)
class Flags:
    """Resource limits of a container."""

    nofile: int  # open descriptors of one process
    nproc: int  # processes and threads of the user
    shm_bytes: int  # size of /dev/shm, in memory
    tmp_bytes: int  # size of /tmp, in memory
    stop_timeout_s: int  # from SIGTERM to SIGKILL; a checkpoint is written meanwhile

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the flags for the host."""
        return cls(
            nofile=settings.limits.nofile,
            nproc=settings.limits.nproc,
            shm_bytes=settings.training.shm_bytes,
            tmp_bytes=settings.container.tmp_bytes,
            stop_timeout_s=settings.limits.stop_timeout_s,
        )

    def here(self) -> Self:
        """Return the flags lowered to this machine's hard limits, and to its memory in the host's proportions."""
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        store = store_bytes(InstanceType(vcpus=os.cpu_count() or 1, memory_gib=memory // GIB))
        return replace(
            self,
            nofile=at_most(self.nofile, resource.RLIMIT_NOFILE),
            nproc=at_most(self.nproc, resource.RLIMIT_NPROC),
            shm_bytes=min(self.shm_bytes, with_room(store)),
            tmp_bytes=min(self.tmp_bytes, memory // 4),
        )

    def arguments(self, container: ContainerSettings, *, data: str = "", runs: str = "") -> Iterator[str]:
        """Yield the flags of `docker run`, but for user and name.

        `data` is a folder for everything that persists, runs and objects that Ray spills: the data volume of the
        host. Without it, `runs` is a folder for the runs, and objects that Ray spills go to an anonymous volume.
        """
        yield "--read-only"
        # Ray's sockets and logs, and caches that libraries create on import.
        yield f"--tmpfs=/tmp:rw,nosuid,nodev,size={self.tmp_bytes},mode=1777"
        yield f"--ulimit=nofile={self.nofile}:{self.nofile}"
        yield f"--ulimit=nproc={self.nproc}:{self.nproc}"
        yield f"--pids-limit={self.nproc}"
        yield f"--shm-size={self.shm_bytes}"
        yield f"--stop-timeout={self.stop_timeout_s}"
        yield "--cap-drop=ALL"
        yield "--security-opt=no-new-privileges"
        if data:
            yield f"--volume={data}:{container.data}"
        else:
            yield f"--volume={container.spill}"
            if runs:
                yield f"--volume={runs}:{container.experiments}"


def at_most(wanted: int, limit: int) -> int:
    """Lower a limit of the host, `resource.RLIMIT_...`, to what this machine allows."""
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def main(arguments: list[str]) -> int:
    """Print the flags for a training on this machine, quoted for a shell; exit code 2 for invalid settings."""
    parser = argparse.ArgumentParser(
        prog="python3 -m infra.container",
        description="Print the flags of docker run for the training container.",
        epilog="Example: docker run $(python3 -m infra.container --runs experiments) redox-balancer train",
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--host", action="store_true", help="the flags of the host, not lowered to this machine's limits"
    )
    either.add_argument(
        "--runs", metavar="FOLDER", help="also mount a folder of this machine as the folder of all runs"
    )
    asked = parser.parse_args(arguments)
    try:
        settings = load()
    except SettingsError as error:
        return error.show()
    if asked.host:
        words = list(Flags.of(settings).arguments(settings.container, data=settings.container.data))
    else:
        runs = str(Path(asked.runs).absolute()) if asked.runs else ""
        words = list(Flags.of(settings).here().arguments(settings.container, runs=runs))
        if runs and os.geteuid():
            words.append(f"--user={os.geteuid()}:{os.getegid()}")  # they own the folder
    print(shlex.join(words))  # noqa: T201 - this is the answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
