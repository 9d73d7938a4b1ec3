"""Enzyme constructs that restore NAD+/NADH balance in human metabolic networks."""

from redox_balancer.version import __version__

__all__ = ["__version__"]
