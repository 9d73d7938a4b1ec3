"""Requests to AWS with the role of this machine, signed here (Signature Version 4). Only the standard library.

A machine fetches its own setup before any package is installed, and must be able to end itself even if that fails.
"""

import datetime as dt
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

# boto3 reads the same variables.
METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
ENDPOINT = os.environ.get("AWS_ENDPOINT_URL", "")
METADATA_TIMEOUT_S, TIMEOUT_S = 2.0, 15.0
VERSIONS = {"autoscaling": "2011-01-01", "monitoring": "2010-08-01"}
NOT_FOUND = 404
OTHERS = (409, 412)  # another writer was faster
BINARY = {"content-type": "application/octet-stream"}


class ChangedError(OSError):
    """An object is not the one that was read: another writer was faster."""


class Found(NamedTuple):
    """An object of the bucket."""

    content: bytes
    etag: str


def metadata(path: str) -> str | None:
    """Return the metadata of this machine at a path (version 2); None if there is none or no answer."""
    try:
        token = _metadata("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        return _metadata("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": token})
    except OSError:  # 404 is one of them
        return None


def _metadata(method: str, path: str, headers: Mapping[str, str]) -> str:
    url = f"{METADATA.rstrip('/')}/latest/{path}"
    request = urllib.request.Request(url, method=method, headers=dict(headers))  # noqa: S310 - AWS's own
    with urllib.request.urlopen(request, timeout=METADATA_TIMEOUT_S) as answer:  # noqa: S310
        text: str = answer.read().decode()
        return text


def instance_id() -> str:
    """Return the id of this instance; an OSError if the metadata service does not answer."""
    found = metadata("instance-id")
    if found is None:
        raise OSError("the metadata service does not answer")
    return found


@dataclass(frozen=True)
class Aws:
    """The bucket of the deployment, and other services. Every failure is an OSError."""

    region: str
    bucket: str

    @classmethod
    def of_machine(cls) -> Self:
        """Return the bucket that /etc/redox/machine.env names."""
        return cls(os.environ["REDOX_REGION"], os.environ["REDOX_BUCKET"])

    def get(self, key: str) -> Found | None:
        """Return an object; None if there is none."""
        try:
            content, headers = self._request("GET", "s3", f"/{self.bucket}/{key}", b"", {})
        except urllib.error.HTTPError as error:
            if error.code == NOT_FOUND:
                return None
            raise
        return Found(content, headers.get("ETag", ""))

    def put(self, key: str, content: bytes, *, replaces: Found | None) -> None:
        """Write a new object, or replace the version that was found; `ChangedError` where another one is there."""
        condition = {"if-match": replaces.etag} if replaces else {"if-none-match": "*"}
        try:
            self._request("PUT", "s3", f"/{self.bucket}/{key}", content, BINARY | condition)
        except urllib.error.HTTPError as error:
            raise ChangedError(str(error)) if error.code in OTHERS else error from error

    def write(self, key: str, content: bytes) -> None:
        """Write an object, whatever is there."""
        self._request("PUT", "s3", f"/{self.bucket}/{key}", content, BINARY)

    def call(self, service: str, action: str, **parameters: str) -> None:
        """Call an operation of a service with a Query API."""
        words = {"Action": action, "Version": VERSIONS[service], **parameters}
        form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        self._request("POST", service, "/", urllib.parse.urlencode(words).encode(), form)

    def _request(
        self, method: str, service: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        url = (ENDPOINT.rstrip("/") or f"https://{service}.{self.region}.amazonaws.com") + urllib.parse.quote(path)
        scope, now = f"{self.region}/{service}", dt.datetime.now(dt.UTC)
        signed = sign(method, url, body, headers, credentials=_role(), scope=scope, now=now)
        request = urllib.request.Request(url, body if method != "GET" else None, signed, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:300]
            error.msg = f"{error.msg}: {method} {path} of {service}: {said}"
            raise


def _role() -> Mapping[str, Any]:
    """Return the credentials of the role of this machine."""
    role = metadata("iam/security-credentials/")
    found = metadata(f"iam/security-credentials/{role.strip()}") if role else None
    if found is None:
        raise OSError("this machine has no role")
    credentials: Mapping[str, Any] = json.loads(found)
    return credentials


def sign(
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    credentials: Mapping[str, Any],
    scope: str,
    now: dt.datetime,
) -> dict[str, str]:
    """Return the headers of a request with its signature; `scope` is like us-east-1/s3, headers are in lower case.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    parts, digest = urllib.parse.urlsplit(url), hashlib.sha256(body).hexdigest()
    date = f"{now:%Y%m%dT%H%M%SZ}"
    known = {
        **headers,
        "host": parts.netloc,
        "x-amz-content-sha256": digest,
        "x-amz-date": date,
        "x-amz-security-token": credentials["Token"],
    }
    names = ";".join(sorted(known))
    lines = "".join(f"{name}:{known[name]}\n" for name in sorted(known))
    canonical = f"{method}\n{parts.path}\n{parts.query}\n{lines}\n{names}\n{digest}"
    scope = f"{date[:8]}/{scope}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials['SecretAccessKey']}".encode()
    for each in (*scope.split("/"), text):
        key = hmac.digest(key, each.encode(), "sha256")
    known["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials['AccessKeyId']}/{scope}, SignedHeaders={names}, "
        f"Signature={key.hex()}"
    )
    return known
