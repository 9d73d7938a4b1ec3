"""A training run, on disk and while it trains: checkpoints, metrics, monitoring, supervision and the bucket."""
