"""The entry point of `redox`: collects the subcommands and turns errors into one line and an exit code.

Modules that take long to import (torch, ray, cobra) are imported inside the commands that need them, so that
`redox --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from typer.exceptions import TyperException

from redox_balancer import __version__
from redox_balancer.cli import (
    checkpoints,
    core,
    design,
    doctor,
    enzymes,
    evaluate,
    model,
    profile,
    report,
    search,
    train,
)
from redox_balancer.errors import EXIT_USER_ERROR, RedoxError

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
app.command(epilog=train.EXAMPLE)(train.train)
app.command(epilog=doctor.EXAMPLE)(doctor.doctor)
app.command(epilog=profile.EXAMPLE)(profile.profile)
app.add_typer(checkpoints.app, name="checkpoints")
app.add_typer(search.app, name="search")
app.command(epilog=design.EXAMPLE)(design.design)
app.command(epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command(epilog=report.EXAMPLE)(report.report)


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
    """Options that every subcommand shares; `main` reads `--debug` itself."""
    del debug, version


def main() -> None:
    """Run `redox`; an error ends in one line, a hint and its exit code, whoever finds it."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        # `--debug` is taken anywhere on the line, which typer by itself allows only before the subcommand.
        sys.argv = [sys.argv[0], *(argument for argument in sys.argv[1:] if argument != "--debug")]
    try:
        sys.exit(app(standalone_mode=False))
    except RedoxError as error:
        if debug:
            raise
        _say(error.message, error.hint)
        sys.exit(error.exit_code)
    except TyperException as error:
        # The message is empty where the help that was asked for by no argument at all has just been printed.
        if message := error.format_message():
            context = getattr(error, "ctx", None)
            _say(message, f"{context.command_path if context else 'redox'} --help shows what it takes")
        sys.exit(EXIT_USER_ERROR)


def _say(message: str, hint: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]error:[/] {_plain(message)}")
    if hint:
        console.print(f"[bold]hint:[/]  {_plain(hint)}")


def _plain(text: str) -> str:
    """Text with rich's markup switched off: identifiers in brackets must show as they are."""
    return text.replace("[", r"\[")
