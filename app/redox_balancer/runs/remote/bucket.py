"""Objects of an S3 bucket: conditional writes with checksums verified by S3, and readable errors.

boto3 is used directly rather than through a file system: s3fs pins its own botocore versions and does not support
If-Match, and neither pyarrow nor the multipart upload of boto3's transfer manager writes conditionally; the latter
also deletes its parts when it fails. A single PUT is atomic and takes up to 5 GB, far more than a checkpoint.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Self

from redox_balancer.errors import EXIT_UNREACHABLE, RedoxError

CONNECT_TIMEOUT_S = 10.0
CHUNK_BYTES = 2**18

_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>[\w.=+@-]+(?:/[\w.=+@-]+)+)/*")
_RETRYABLE = frozenset(("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "InternalError"))
_CORRUPTED_IN_TRANSIT = frozenset(("BadDigest", "XAmzContentChecksumMismatch", "IncompleteBody"))
_PRECONDITION_FAILED = frozenset(("PreconditionFailed", "ConditionalRequestConflict"))
_AUTH_ERRORS = frozenset(
    ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired")
)
_CREDENTIALS_HINT = "check the credentials with `aws sts get-caller-identity`; AWS_PROFILE selects others"


class StoreError(RedoxError):
    """S3 rejected a request."""


class UnreachableError(StoreError):
    """S3 did not respond or closed the connection; a later attempt may succeed."""

    def __init__(self, message: str) -> None:
        hint = "check the network and AWS_ENDPOINT_URL, or retry later"
        super().__init__(message, hint=hint, exit_code=EXIT_UNREACHABLE)


class PreconditionFailedError(StoreError):
    """A conditional write found another version than the one it was meant to replace."""


class ObjectNotFoundError(StoreError):
    """The object does not exist."""


class RunAddress(NamedTuple):
    """Address of a run: its bucket, and its prefix without a trailing slash."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse `s3://BUCKET/experiments/RUN`; a RedoxError for anything else."""
        match = _URL.fullmatch(url)
        if match is None or {".", ".."} & set(match["prefix"].split("/")):
            raise RedoxError(
                f"{url!r} is not the address of a run", hint="an address has the form s3://BUCKET/experiments/RUN"
            )
        return cls(match["bucket"], match["prefix"])

    @property
    def url(self) -> str:
        """The address as a user writes it."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def lock_key(self) -> str:
        """Key of the run's lock: `locks/RUN.json` beside `experiments/`."""
        *above, _runs, run = self.prefix.split("/")
        return "/".join([*above, "locks", f"{run}.json"])


class ObjectSummary(NamedTuple):
    """An object as a listing returns it: key, size in bytes, ETag and Unix time of the last write."""

    key: str
    size: int
    etag: str
    written_at: float


class StoredObject(NamedTuple):
    """An object: its bytes, its ETag, and its age by the clock of S3 (s, with a resolution of 1 s)."""

    body: bytes
    etag: str
    age_s: float


class Bucket:
    """An S3 bucket; thread-safe.

    boto3 finds credentials, region and AWS_ENDPOINT_URL in its usual places. botocore makes at most three attempts
    per request, or AWS_MAX_ATTEMPTS; `timeout_s` is the connection and read timeout of each (s).
    """

    def __init__(self, name: str, *, timeout_s: float) -> None:
        # Optional, and importing it takes half a second.
        from boto3.session import Session  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        self._name = name
        connect_s = min(timeout_s, CONNECT_TIMEOUT_S)
        config = Config(connect_timeout=connect_s, read_timeout=timeout_s, retries={"mode": "standard"})
        with self._translate_errors(""):
            self._client = Session().client("s3", config=config)

    def url(self, key: str) -> str:
        """Return the s3:// address of an object."""
        return f"s3://{self._name}/{key}"

    def put(self, key: str, content: bytes, *, replaces: str | None = None) -> str:
        """Write a new object, or replace the version whose ETag is `replaces`.

        S3 verifies the sha256 of the content it receives. Returns the new ETag, or raises a PreconditionFailedError
        where another version exists. It may hold this very content: the response to an earlier write can be lost.
        """
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        with self._translate_errors(key):
            response = self._client.put_object(
                Bucket=self._name,
                Key=key,
                Body=content,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=digest,
                **condition,
            )
        return str(response["ETag"])

    def get(self, key: str) -> StoredObject:
        """Read a small object; an ObjectNotFoundError where it does not exist."""
        with self._translate_errors(key):
            response = self._client.get_object(Bucket=self._name, Key=key)
            body = response["Body"].read()
        return StoredObject(body, str(response["ETag"]), _age_s(response))

    def stream(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes [start, stop) of an object in chunks, as they arrive."""
        if start == stop:
            return
        with self._translate_errors(key):
            response = self._client.get_object(Bucket=self._name, Key=key, Range=f"bytes={start}-{stop - 1}")
            yield from response["Body"].iter_chunks(CHUNK_BYTES)

    def summaries(self, prefix: str) -> list[ObjectSummary]:
        """List the objects whose keys start with a prefix."""
        with self._translate_errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return [
                ObjectSummary(item["Key"], int(item["Size"]), str(item["ETag"]), item["LastModified"].timestamp())
                for page in pages
                for item in page.get("Contents", ())
            ]

    @contextmanager
    def _translate_errors(self, key: str) -> Iterator[None]:
        """Raise exceptions of botocore as subclasses of StoreError."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - botocore lets some of them propagate

        try:
            yield
        except ClientError as error:
            raise self._of_response(error.response, self.url(key)) from error
        except HTTPError as error:
            raise UnreachableError(f"{self.url(key)}: connection lost: {error}") from error
        except BotoCoreError as error:
            raise _without_response(error, self.url(key)) from error

    def _of_response(self, response: Any, url: str) -> StoreError:
        """Return the error for an error response of S3."""
        status, details = int(response["ResponseMetadata"]["HTTPStatusCode"]), response["Error"]
        code = str(details["Code"])
        text = f"{url}: S3 returned {code}: {details.get('Message', '')}".rstrip(": ")
        if code in _PRECONDITION_FAILED or status == 412:
            return PreconditionFailedError(f"{url} was changed by another writer", hint="try again")
        if code == "NoSuchBucket":
            return StoreError(f"bucket {self._name} does not exist", hint="check the address of the run")
        if status == 404:
            return ObjectNotFoundError(f"{url} does not exist", hint="check the address of the run")
        if status >= 500 or code in _RETRYABLE or code in _CORRUPTED_IN_TRANSIT or status == 429:
            return UnreachableError(text)
        permissions = "the permissions needed are s3:ListBucket, s3:GetObject and s3:PutObject"
        return StoreError(text, hint=_CREDENTIALS_HINT if code in _AUTH_ERRORS else permissions)


def _without_response(error: Any, url: str) -> StoreError:
    """Return the error for a request that failed without a response from S3."""
    from botocore import exceptions as e  # noqa: PLC0415

    transient = (e.ConnectionError, e.HTTPClientError, e.IncompleteReadError, e.FlexibleChecksumError)
    if isinstance(error, transient):
        return UnreachableError(f"{url}: {error}")
    auth = (
        *(e.NoCredentialsError, e.PartialCredentialsError, e.CredentialRetrievalError, e.ProfileNotFound),
        *(e.LoginError, e.SSOError, e.TokenRetrievalError, e.RefreshWithMFAUnsupportedError),
    )
    hint = _CREDENTIALS_HINT if isinstance(error, auth) else "check the address and the AWS settings"
    return StoreError(f"{url}: {error}", hint=hint)


def _age_s(response: Any) -> float:
    """Return the age of an object just read, by the clock of S3 alone, since the clocks of hosts differ (s)."""
    now = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - response["LastModified"]).total_seconds())
