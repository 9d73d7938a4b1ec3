"""The entry point of `redox`: collects the subcommands.

Modules that take long to import (torch, ray, cobra) are imported inside the commands that need them, so that
`redox --help` answers at once.
"""

import os
from typing import Annotated

import typer

from redox_balancer.cli import (
    advise,
    bench,
    checkpoints,
    core,
    design,
    diagnose,
    doctor,
    enzymes,
    evaluate,
    model,
    profile,
    redox_map,
    report,
    search,
    train,
    validate,
)
from redox_balancer.resources import in_own_source, require_address_space
from redox_balancer.terminal.outcome import end
from redox_balancer.version import __version__

app = typer.Typer(
    name="redox",
    help="Design enzyme constructs that restore NAD+/NADH balance in human metabolic networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.add_typer(model.app, name="model")
app.command("build-core", epilog=core.EXAMPLE)(core.build_core)
app.command(epilog=enzymes.EXAMPLE)(enzymes.enzymes)
app.command(epilog=diagnose.EXAMPLE)(diagnose.diagnose)
app.command(epilog=train.EXAMPLE)(train.train)
app.command(epilog=doctor.EXAMPLE)(doctor.doctor)
app.command(epilog=profile.EXAMPLE)(profile.profile)
app.add_typer(checkpoints.app, name="checkpoints")
app.command(epilog=bench.EXAMPLE)(bench.bench)
app.command(epilog=advise.EXAMPLE)(advise.advise)
app.add_typer(search.app, name="search")
app.command(epilog=design.EXAMPLE)(design.design)
app.command("map", epilog=redox_map.EXAMPLE)(redox_map.redox_map)
app.command(epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command(epilog=report.EXAMPLE)(report.report)
app.command(epilog=validate.EXAMPLE)(validate.validate)


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
