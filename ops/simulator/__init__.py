"""Simulated AWS and simulated hosts on this machine, for the demo and the tests."""
