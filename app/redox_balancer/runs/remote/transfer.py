"""Resumable and verified download of a checkpoint's files from a bucket.

boto3 does not detect a flipped bit in a ranged download, so files are verified against the manifest. The manifest
also detects leftovers of an earlier download that no longer match, so no separate validator is stored.
"""

import hashlib
import os
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from redox_balancer.files import write_synced
from redox_balancer.progress import Progress, no_progress
from redox_balancer.runs.manifest import FileEntry, Manifest, check_file
from redox_balancer.runs.remote.bucket import Bucket, UnreachableError

ATTEMPTS = 4  # per file, after connection errors and where it arrives damaged
FIRST_PAUSE_S = 0.5


def retrying() -> Retrying:
    """Retry with exponential backoff where S3 fails or content is wrong; the last error is raised."""
    return Retrying(
        retry=retry_if_exception_type((ValueError, UnreachableError)),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=10),
        reraise=True,
    )


def fetch(
    bucket: Bucket, prefix: str, manifest: Manifest, into: Path | None = None, progress: Progress = no_progress
) -> None:
    """Fetch the files of a manifest into a folder and flush them to disk; without a folder, only verify them.

    A file whose sha256 differs is fetched again, since the corruption may have occurred in transit.

    `prefix` ends with a slash. `into` is a folder for this checkpoint only, from whose content the next call resumes
    after a failure. A ValueError where a file differs from the manifest on every attempt, an UnreachableError where
    S3 fails on every attempt.
    """
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
    phase = f"{'verifying' if into is None else 'fetching'} {prefix}"
    before, total = 0, sum(entry.size for entry in manifest.files.values())

    def receive(name: str, entry: FileEntry) -> None:
        path = Path(os.devnull) if into is None else into / name
        content = bytearray(path.read_bytes() if path.exists() else b"")[: entry.size]
        progress(phase, before + len(content), total)
        try:
            with path.open("wb") as file:
                file.write(content)
                for chunk in bucket.stream(prefix + name, len(content), entry.size):
                    file.write(chunk)
                    content += chunk
                    progress(phase, before + len(content), total)
            check_file(name, entry, len(content), hashlib.sha256(content).hexdigest())
        except (ValueError, UnreachableError):
            if len(content) >= entry.size:  # all of it, and wrong
                path.write_bytes(b"")
            raise
        if into is not None:
            write_synced(path, bytes(content))

    for name, entry in manifest.files.items():
        retrying()(receive, name, entry)
        before += entry.size
