"""What processes import, and the S3 stand-in for the drill of a bucket that fails."""

from python_path import support_on_path
from s3_stand_in import moto_address, s3

__all__ = ["moto_address", "s3", "support_on_path"]
