"""How a command line ends: an error is one line, a hint and an exit code, whoever finds it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from typer.exceptions import TyperException

from redox_balancer.errors import EXIT_USER_ERROR, RedoxError


def end(app: Callable[..., Any], program: str, told: Callable[[Exception], RedoxError | None] | None = None) -> None:
    """Run a typer app and leave with its exit code.

    Parameters
    ----------
    app
        The app.
    program
        What is typed to run it, `redox`.
    told
        Makes a RedoxError of an error of some library; None for one that is a mistake of ours and shows where.
    """
    debug = "--debug" in sys.argv[1:]
    if debug:
        # `--debug` is taken anywhere on the line, which typer by itself allows only before the subcommand.
        sys.argv = [sys.argv[0], *(argument for argument in sys.argv[1:] if argument != "--debug")]
    try:
        sys.exit(app(standalone_mode=False))
    except TyperException as error:
        # The message is empty where the help that was asked for by no argument at all has just been printed.
        if message := error.format_message():
            context = getattr(error, "ctx", None)
            _say(message, f"{context.command_path if context else program} --help shows what it takes")
        sys.exit(EXIT_USER_ERROR)
    except Exception as error:
        known = error if isinstance(error, RedoxError) else told(error) if told else None
        if debug or known is None:
            raise
        options = ", ".join(f"--{name.replace('_', '-')}" for name in known.settings)
        _say(known.message, f"{known.hint} ({options})" if options else known.hint)
        sys.exit(known.exit_code)


def _say(message: str, hint: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]error:[/] {_plain(message)}")
    if hint:
        console.print(f"[bold]hint:[/]  {_plain(hint)}")


def _plain(text: str) -> str:
    """Text with rich's markup switched off: identifiers in brackets must show as they are."""
    return text.replace("[", r"\[")
