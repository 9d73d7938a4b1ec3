"""The instance metadata service, version 2: every request needs a token. Only the standard library."""

import os
import urllib.error
import urllib.request

# boto3 reads the same variable.
ADDRESS = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
TIMEOUT_S = 2.0


def get(path: str) -> str | None:
    """Return the metadata of this machine at a path; None if there is none or the service is unreachable."""
    try:
        token = _request("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        return _request("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": token})
    except OSError:  # 404 is one of them
        return None


def _request(method: str, path: str, headers: dict[str, str]) -> str:
    url = f"{ADDRESS.rstrip('/')}/latest/{path}"
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - the address is AWS's own
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        text: str = answer.read().decode()
        return text
