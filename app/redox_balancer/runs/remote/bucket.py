"""Objects of an S3 bucket: conditional writes that S3 checks on arrival, and errors a user understands.

boto3 itself, and no file system on top of it: s3fs holds botocore back at versions of its own and knows no If-Match,
pyarrow writes without conditions, and so does the multipart upload of boto3's own transfer manager, which besides
deletes its parts when it fails. One PUT takes up to 5 GB, far more than a checkpoint, and is all or nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn, Self

from redox_balancer.errors import EXIT_UNREACHABLE, RedoxError

CONNECT_TIMEOUT_S = 10.0
CHUNK_BYTES = 2**18
CONNECTIONS = 16

_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>[\w.=+@-]+(?:/[\w.=+@-]+)+)/*")
_BUSY = frozenset(("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "InternalError"))
_DAMAGED_ON_THE_WAY = frozenset(("BadDigest", "XAmzContentChecksumMismatch", "IncompleteBody"))
_CHANGED = frozenset(("PreconditionFailed", "ConditionalRequestConflict"))
_STRANGERS = frozenset(
    ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired")
)
_CREDENTIALS_HINT = "check the credentials: aws sts get-caller-identity; AWS_PROFILE= chooses others"


class StoreError(RedoxError):
    """The bucket refuses what it was asked for."""


class UnreachableError(StoreError):
    """The bucket does not answer or broke off; a later try may succeed."""

    def __init__(self, message: str) -> None:
        hint = "check the network and AWS_ENDPOINT_URL, or try again later"
        super().__init__(message, hint=hint, exit_code=EXIT_UNREACHABLE)


class ChangedError(StoreError):
    """A conditional write found something else than it was meant to replace."""


class MissingError(StoreError):
    """There is no such object."""


class Place(NamedTuple):
    """Where a run lies: its bucket, and its prefix without a slash at the end."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Read `s3://BUCKET/experiments/RUN`."""
        match = _URL.fullmatch(url)
        if match is None or {".", ".."} & set(match["prefix"].split("/")):
            raise RedoxError(f"{url!r} is not the address of a run", hint="write s3://BUCKET/experiments/RUN")
        return cls(match["bucket"], match["prefix"])

    @property
    def url(self) -> str:
        """As a user writes it."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def lock_key(self) -> str:
        """Key of the object that says who may write the run: `locks/RUN.json` beside `experiments/`."""
        *above, _runs, run = self.prefix.split("/")
        return "/".join([*above, "locks", f"{run}.json"])


class Entry(NamedTuple):
    """An object as a listing shows it: key, size in bytes, ETag and Unix time of its writing."""

    key: str
    size: int
    etag: str
    written_at: float


class Content(NamedTuple):
    """An object: its bytes, its ETag, and the seconds since it was written by the clock of S3 (whole ones)."""

    body: bytes
    etag: str
    age_s: float


class Bucket:
    """A bucket, for any number of threads.

    Credentials, region and AWS_ENDPOINT_URL are found where boto3 looks for them. botocore tries each request three
    times in all, or AWS_MAX_ATTEMPTS times.

    Parameters
    ----------
    name
        Name of the bucket.
    timeout_s
        Seconds of silence after which a request counts as failed.
    """

    def __init__(self, name: str, *, timeout_s: float) -> None:
        try:
            # An extra, and half a second.
            from boto3.session import Session  # noqa: PLC0415
            from botocore.config import Config  # noqa: PLC0415
        except ImportError as error:
            raise RedoxError(
                f"s3://{name} needs boto3, which is not installed", hint="pip install 'redox_balancer[s3]'"
            ) from error
        self._name = name
        config = Config(
            connect_timeout=min(timeout_s, CONNECT_TIMEOUT_S),
            read_timeout=timeout_s,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard"},
        )
        with self._told(""):
            self._client = Session().client("s3", config=config)

    def url(self, key: str) -> str:
        """Return the address of an object."""
        return f"s3://{self._name}/{key}"

    def put(self, key: str, content: bytes, *, replaces: str | None = None) -> str:
        """Write an object that is not there yet, or in place of the version with the ETag `replaces`.

        S3 compares the bytes that arrive with their sha256.

        Returns
        -------
        str
            The new ETag.

        Raises
        ------
        ChangedError
            Where another version is there. It may be this very content: an answer can be lost on the way.
        """
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        with self._told(key):
            answer = self._client.put_object(
                Bucket=self._name,
                Key=key,
                Body=content,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=digest,
                **condition,
            )
        return str(answer["ETag"])

    def get(self, key: str) -> Content:
        """Read a small object; a MissingError where it is not there."""
        with self._told(key):
            answer = self._client.get_object(Bucket=self._name, Key=key)
            body = answer["Body"].read()
        return Content(body, str(answer["ETag"]), _age_s(answer))

    def stream(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Read the bytes of an object from `start` to before `stop`, chunk by chunk as they come in."""
        with self._told(key):
            answer = self._client.get_object(Bucket=self._name, Key=key, Range=f"bytes={start}-{stop - 1}")
            yield from answer["Body"].iter_chunks(CHUNK_BYTES)

    def entry(self, key: str) -> Entry | None:
        """Look at one object, None where it is not there."""
        try:
            with self._told(key):
                answer = self._client.head_object(Bucket=self._name, Key=key)
        except MissingError:
            return None
        return Entry(key, int(answer["ContentLength"]), str(answer["ETag"]), answer["LastModified"].timestamp())

    def entries(self, prefix: str) -> list[Entry]:
        """List the objects whose keys begin with a prefix."""
        with self._told(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return [
                Entry(item["Key"], int(item["Size"]), str(item["ETag"]), item["LastModified"].timestamp())
                for page in pages
                for item in page.get("Contents", ())
            ]

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """Turn what botocore raises into errors a user understands."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with botocore, which lets some of them through

        try:
            yield
        except ClientError as error:
            self._raise_answer(error, self.url(key))
        except HTTPError as error:
            raise UnreachableError(f"{self.url(key)}: the connection broke off: {error}") from error
        except BotoCoreError as error:
            _raise_failure(error, self.url(key))

    def _raise_answer(self, error: Any, url: str) -> NoReturn:
        """Raise what an error that S3 answered means."""
        answer, details = error.response.get("ResponseMetadata", {}), error.response.get("Error", {})
        status, code = int(answer.get("HTTPStatusCode", 0)), str(details.get("Code", ""))
        said = f"{url}: S3 answers {code}: {details.get('Message', '')}".rstrip(": ")
        if code in _CHANGED or status == 412:
            raise ChangedError(f"{url} was changed by somebody else", hint="run the same command again") from error
        if code == "NoSuchBucket":
            raise StoreError(f"there is no bucket {self._name}", hint="check the address of the run") from error
        if status == 404:
            raise MissingError(f"there is no {url}", hint="check the address of the run") from error
        if status >= 500 or code in _BUSY or code in _DAMAGED_ON_THE_WAY or status == 429:
            raise UnreachableError(said) from error
        if code in _STRANGERS:
            raise StoreError(said, hint=_CREDENTIALS_HINT) from error
        raise StoreError(said, hint="the rights needed are s3:ListBucket, s3:GetObject and s3:PutObject") from error


def _raise_failure(error: Any, url: str) -> NoReturn:
    """Raise what it means that a request failed without an answer of S3."""
    from botocore import exceptions as e  # noqa: PLC0415

    passing = (
        e.ConnectionError,
        e.HTTPClientError,
        e.IncompleteReadError,
        e.FlexibleChecksumError,
    )
    strangers = (
        e.NoCredentialsError,
        e.PartialCredentialsError,
        e.CredentialRetrievalError,
        e.ProfileNotFound,
        e.LoginError,
        e.SSOError,
        e.TokenRetrievalError,
        e.RefreshWithMFAUnsupportedError,
    )
    if isinstance(error, passing):
        raise UnreachableError(f"{url}: {error}") from error
    hint = _CREDENTIALS_HINT if isinstance(error, strangers) else "check the address and the AWS settings"
    raise StoreError(f"{url}: {error}", hint=hint) from error


def _age_s(answer: Any) -> float:
    """Return the age of an object that was just read, by the clock of S3 alone: those of two hosts differ."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - answer["LastModified"]).total_seconds())
