"""A training run, on disk and alive: checkpoints, metrics, monitoring, supervision and the bucket."""
