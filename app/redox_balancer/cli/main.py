"""The entry point of `redox`.

`redox --help` answers at once: a command is imported when it is used (`cli/commands.py`), and modules that take long
to import (torch, ray, cobra) inside the commands that need them.
"""

import os
from typing import Annotated

import typer

from redox_balancer.cli.commands import MARKUP, LazyGroup
from redox_balancer.resources import in_own_source, require_address_space
from redox_balancer.terminal.outcome import end
from redox_balancer.version import __version__

app = typer.Typer(
    name="redox",
    cls=LazyGroup,
    help="Design enzyme constructs that restore NAD+/NADH balance in human metabolic networks.",
    no_args_is_help=True,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"redox_balancer {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that every subcommand shares; `end` reads `--debug` itself."""
    del debug, version
    require_address_space("a command")


def main() -> None:
    """Run `redox`."""
    if not in_own_source():
        # No process that this one starts may take a user's random.py in the working folder for Python's.
        os.environ["PYTHONSAFEPATH"] = "1"
    end(app, "redox")
