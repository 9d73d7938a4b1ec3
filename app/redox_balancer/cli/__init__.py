"""`redox`, the one command of the application; each group of subcommands is a module of its own."""

from redox_balancer.cli.main import app, main

__all__ = ["app", "main"]
