"""Downloading a file over HTTP so that a cut connection costs only what was not received yet."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically
from redox_balancer.progress import Progress, no_progress

ATTEMPTS = 4
TIMEOUT_S = 30.0


class _TryAgainError(Exception):
    """The server is busy or what it sent does not fit what is there already; the next attempt may succeed."""


def download(url: str, part: Path, progress: Progress = no_progress, *, wait_s: float = 1.0) -> None:
    """Download a file, going on from what `part` holds already.

    A file begun earlier is completed by a range request (RFC 9110, section 14) that the server answers in full
    when the file has changed (If-Range); without a validator to tell, it is downloaded anew. A connection that
    breaks is tried again four times in all.

    Parameters
    ----------
    url
        What to download.
    part
        Where to, as bytes come in; `part` with `.json` appended keeps the validator. Both stay after a failure, so
        that the next call goes on.
    progress
        Receives the bytes downloaded so far and, where the server sends it, the size of the file.
    wait_s
        Wait before the second attempt; it doubles with each further one.

    Raises
    ------
    RedoxError
        The server cannot be reached, has no such file, or keeps breaking off.
    """
    attempts = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=wait_s, max=30),
        retry=retry_if_exception(lambda error: _may_pass(error, part)),
        reraise=True,
    )
    hint = "check the network and run the same command again: it goes on from there; or take a file: --from FILE"
    try:
        with httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as client:
            attempts(_attempt, client, url, part, progress)
    except httpx.ConnectError as error:
        raise RedoxError(f"cannot reach {httpx.URL(url).host}: {error}", hint=hint) from error
    except (httpx.TransportError, httpx.InvalidURL, _TryAgainError) as error:
        reason = str(error) or type(error).__name__
        raise RedoxError(f"the download of {url} broke off: {reason}", hint=hint) from error
    except OSError as error:
        raise RedoxError(
            f"cannot write {part}: {error.strerror or error}", hint="check the folder, its rights and free space"
        ) from error


def _may_pass(error: BaseException, part: Path) -> bool:
    """Whether another attempt may succeed: not where the server could not be reached from the start."""
    if isinstance(error, httpx.ConnectError) and not part.exists():
        return False
    return isinstance(error, httpx.TransportError | _TryAgainError)


def discard(part: Path) -> None:
    """Remove a partial download and its validator."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _attempt(client: httpx.Client, url: str, part: Path, progress: Progress) -> None:
    # Without Accept-Encoding: identity a server may compress on the way, and ranges would count other bytes.
    headers = {"Accept-Encoding": "identity"}
    phase = f"downloading {url.rpartition('/')[2]}"
    begun = part.stat().st_size if part.exists() else 0
    validator = _validator_of(url, part)
    if begun and validator:
        headers |= {"Range": f"bytes={begun}-", "If-Range": validator}
    else:
        begun = 0
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if _size_in(response) == begun:
                return
            discard(part)
            raise _TryAgainError("the part downloaded before does not fit the file on the server")
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _TryAgainError(f"the server answers {response.status_code} {response.reason_phrase}")
        if not response.is_success:
            raise RedoxError(
                f"{url}: the server answers {response.status_code} {response.reason_phrase}",
                hint="the model may have moved: take a file with --from FILE, or another server with --mirror URL",
            )
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        if resumed and _start_in(response) != begun:
            discard(part)
            raise _TryAgainError("the server sent another range than asked for")
        if not resumed:
            begun = 0
            _keep_validator(url, part, response)
        length = response.headers.get("Content-Length")
        total = begun + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            # No chunk size: httpx would hold bytes back to fill a chunk, and lose them when the connection breaks.
            for chunk in response.iter_raw():
                file.write(chunk)
                begun += len(chunk)
                progress(phase, begun, total)


def _start_in(response: httpx.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _size_in(response: httpx.Response) -> int | None:
    match = re.match(r"bytes \*/(\d+)$", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _keep_validator(url: str, part: Path, response: httpx.Response) -> None:
    """Note what tells this version of the file from another; weak ETags may not be used in If-Range."""
    etag = response.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
    write_atomically(_validator_file(part), json.dumps({"url": url, "validator": validator}).encode())


def _validator_of(url: str, part: Path) -> str:
    try:
        kept = json.loads(_validator_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(kept, dict) or kept.get("url") != url:
        return ""
    return str(kept.get("validator", ""))


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
