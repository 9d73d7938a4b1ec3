"""Fetches the setup of this machine from the bucket and runs it.

Shipped as user data, which never changes, with the source of `aws` before it: what people edit is in the archive.
"""

import fcntl
import io
import os
import sys
import tarfile
import time
from pathlib import Path

from infra.machine.aws import Aws

ETC, LOG = "/etc/redox", "/var/log/redox.log"
BRING_UP = "/usr/local/lib/redox/bring-up"
ATTEMPTS, PAUSE_S = 60, 5.0  # until network and role of a new instance are there


def unpack(content: bytes, root: Path = Path("/")) -> None:
    """Write the files of an archive that differ from those that are there."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            path, new = root / entry.name, file.read() if file else b""
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != new:
                path.write_bytes(new)
            path.chmod(entry.mode)


def fetch(region: str, bucket: str, kind: str) -> None:
    """Set this machine up; with an argument (`make apply`) a failure is not reported, and ends no host."""
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    Path(ETC).mkdir(parents=True, exist_ok=True)
    turn = os.open(ETC, os.O_RDONLY)
    fcntl.flock(turn, fcntl.LOCK_EX)  # one at a time; the installation of the CloudWatch agent waits for it as well
    os.set_inheritable(turn, True)  # noqa: FBT003 - until the bring-up has ended
    key = f"machine/{kind}.tar.gz"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            found = Aws(region, bucket).get(key)
            if found is None:
                raise OSError(f"there is no s3://{bucket}/{key}: make deploy uploads it")  # noqa: TRY301
        except OSError as error:
            print(f"bring-up: {error}", flush=True)
            if attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)
        else:
            unpack(found.content)
            break
    os.execv(BRING_UP, [BRING_UP, *(sys.argv[1:] or ["report"])])  # noqa: S606
