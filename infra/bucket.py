"""The deployment's bucket with the operator's credentials, as programs of the host see it with theirs."""

from typing import Any

from infra.machine.aws import OTHERS, ChangedError, Found


class OperatorBucket:
    """Objects that are written only over the version that was read."""

    def __init__(self, s3: Any, name: str) -> None:
        self._s3, self._name = s3, name

    def get(self, key: str) -> Found | None:
        """Return an object; None if there is none."""
        try:
            found = self._s3.get_object(Bucket=self._name, Key=key)
        except self._s3.exceptions.NoSuchKey:
            return None
        return Found(found["Body"].read(), found["ETag"])

    def put(self, key: str, content: bytes, *, replaces: Found | None) -> None:
        """Write a new object, or replace the version that was found; `ChangedError` where another one is there."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - needed only here

        condition = {"IfMatch": replaces.etag} if replaces else {"IfNoneMatch": "*"}
        try:
            self._s3.put_object(Bucket=self._name, Key=key, Body=content, **condition)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in OTHERS:
                raise
            raise ChangedError(str(error)) from error
