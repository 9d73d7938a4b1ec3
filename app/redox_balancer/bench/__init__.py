"""Benchmarks of speed and memory, side by side with the plain COBRApy way, measured on the machine they run on."""
