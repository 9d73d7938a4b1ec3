"""boto3 clients for botocore's Stubber, which gives answers that moto cannot give."""

from typing import Any

import boto3
from botocore.config import Config


def stubbable_client(service: str) -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, region_name="us-east-1", config=Config(retries={"max_attempts": 0}), **keys)
