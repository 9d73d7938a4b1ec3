"""Downloading a file over HTTP, with resumption of an interrupted transfer."""

import json
from pathlib import Path

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically
from redox_balancer.progress import Progress, no_progress

ATTEMPTS = 4  # attempts in total, the first included
TIMEOUT_S = 30.0


class _TransientError(Exception):
    """The server is busy, or its response does not match the partial download; another attempt may succeed."""


def download(url: str, part: Path, progress: Progress = no_progress, *, wait_s: float = 1.0) -> None:
    """Download a file to `part`, resuming from a partial download.

    A partial download is completed by a range request (RFC 9110, section 14). With If-Range the server sends the
    whole file if it has changed; without a validator the download restarts. The validator is stored in `part` with
    `.json` appended. An interrupted transfer is retried, `ATTEMPTS` attempts in total, `wait_s` seconds after the
    first one and twice as long after each further one. After a failure both files remain for the next call.

    `progress` receives the bytes so far and, where the server sends it, the size of the file. A RedoxError if the
    server cannot be reached, has no such file, or every attempt was interrupted.
    """
    attempts = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=wait_s, max=30),
        retry=retry_if_exception(lambda error: _is_transient(error, part)),
        reraise=True,
    )
    hint = "check the network and try again, the download resumes; or use a file that you already have"
    try:
        with httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as client:
            attempts(_attempt, client, url, part, progress)
    except httpx.ConnectError as error:
        raise RedoxError(f"cannot reach {httpx.URL(url).host}: {error}", hint=hint, settings=("file",)) from error
    except (httpx.TransportError, httpx.InvalidURL, _TransientError) as error:
        reason = str(error) or type(error).__name__
        raise RedoxError(f"the download of {url} failed: {reason}", hint=hint, settings=("file",)) from error
    except OSError as error:
        raise RedoxError(
            f"cannot write {part}: {error.strerror or error}", hint="check the folder, its permissions and free space"
        ) from error


def _is_transient(error: BaseException, part: Path) -> bool:
    """Whether another attempt may succeed; not if the server could not be reached in the first place."""
    if isinstance(error, httpx.ConnectError) and not part.exists():
        return False
    return isinstance(error, httpx.TransportError | _TransientError)


def discard(part: Path) -> None:
    """Remove a partial download and its validator."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _attempt(client: httpx.Client, url: str, part: Path, progress: Progress) -> None:
    # Otherwise a server may compress the response, and ranges would refer to other bytes.
    headers = {"Accept-Encoding": "identity"}
    phase = f"downloading {url.rpartition('/')[2]}"
    received = part.stat().st_size if part.exists() else 0
    validator = _validator_of(url, part)
    if received and validator:
        headers |= {"Range": f"bytes={received}-", "If-Range": validator}
    else:
        received = 0
    with client.stream("GET", url, headers=headers) as response:
        range_sent = response.headers.get("Content-Range", "")
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if range_sent == f"bytes */{received}":
                return
            discard(part)
            raise _TransientError("the partial download does not match the file on the server")
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _TransientError(f"the server answers {response.status_code} {response.reason_phrase}")
        if not response.is_success:
            raise RedoxError(
                f"{url}: the server answers {response.status_code} {response.reason_phrase}",
                hint="the model may have moved: use a file that you already have, or a mirror of the server",
                settings=("file", "mirror"),
            )
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        if resumed and not range_sent.startswith(f"bytes {received}-"):
            discard(part)
            raise _TransientError("the server sent another range than requested")
        if not resumed:
            received = 0
            etag = response.headers.get("ETag", "W/")  # weak ones may not be used in If-Range
            validator = response.headers.get("Last-Modified", "") if etag.startswith("W/") else etag
            write_atomically(_validator_file(part), json.dumps({"url": url, "validator": validator}).encode())
        length = response.headers.get("Content-Length")
        total = received + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            # With a chunk size httpx buffers bytes to fill a chunk, which are lost when the connection breaks.
            for chunk in response.iter_raw():
                file.write(chunk)
                received += len(chunk)
                progress(phase, received, total)


def _validator_of(url: str, part: Path) -> str:
    try:
        stored = json.loads(_validator_file(part).read_text(encoding="utf-8"))
        return str(stored["validator"]) if stored["url"] == url else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
