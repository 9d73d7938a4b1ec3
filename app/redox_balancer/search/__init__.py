"""Searches for good constructs that learn nothing: the baselines of an agent."""
