"""Enzyme constructs that restore NAD+/NADH balance in human metabolic networks."""

__version__ = "0.1.0"
