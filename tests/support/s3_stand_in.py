"""An S3 stand-in over HTTP, with a proxy before it that can break anything."""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fault_proxy import FaultProxy


@dataclass(frozen=True)
class S3:
    """A bucket of its own for a test: through the proxy for the code under test, past it for the test itself."""

    proxy: FaultProxy
    bucket: str
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/experiments/run"

    def objects(self) -> dict[str, bytes]:
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: self.read(item["Key"]) for item in listed}

    def read(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)


@pytest.fixture(scope="session")
def moto_address() -> Iterator[tuple[str, int]]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - takes a second

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def s3(moto_address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """`AWS_ENDPOINT_URL` is the proxy; botocore tries once, so that tests see each try."""
    import boto3  # noqa: PLC0415 - takes half a second

    host, port = moto_address
    with FaultProxy(moto_address) as proxy:
        settings = {
            "AWS_ENDPOINT_URL": proxy.address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        bucket = f"runs-{uuid.uuid4().hex[:12]}"
        client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield S3(proxy, bucket, client)
        # In every test: no object is deleted, and only objects are written.
        assert proxy.methods() <= {"GET", "PUT", "HEAD"}
        assert not [request for request in proxy.requests if request.method == "PUT" and "?" in request.target]
