"""The S3 stand-in, for the drill of a bucket that fails."""

from s3_stand_in import moto_address, s3

__all__ = ["moto_address", "s3"]
