"""Runs in an S3 bucket: checkpoints are added while a training goes on, one writer a run, and nothing is deleted."""
