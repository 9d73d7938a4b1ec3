"""Runs in an S3 bucket: checkpoints uploaded while training, one writer per run, nothing deleted."""
