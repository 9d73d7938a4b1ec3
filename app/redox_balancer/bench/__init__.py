"""Benchmarks of speed and memory, compared with plain COBRApy on the same machine."""
