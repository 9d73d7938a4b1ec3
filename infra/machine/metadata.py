"""The machine's own metadata service, version 2: every question needs a token. Only the standard library."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

# The name under which boto3 knows the address, too.
ADDRESS = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
TIMEOUT_S = 2.0


def get(path: str) -> str | None:
    """Return what the service says of this machine under a path; None where it has nothing to say or is away."""
    try:
        token = _ask("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        return _ask("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": token})
    except OSError:  # 404 is one of them
        return None


def _ask(method: str, path: str, headers: dict[str, str]) -> str:
    url = f"{ADDRESS.rstrip('/')}/latest/{path}"
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - the address is AWS's own
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        text: str = answer.read().decode()
        return text
