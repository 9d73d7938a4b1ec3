"""How a command line ends: an error is one line, a hint and an exit code, wherever it is raised."""

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from rich.console import Console
from typer.exceptions import TyperException

from redox_balancer.errors import EXIT_CLOSED_PIPE, EXIT_USER_ERROR, RedoxError
from redox_balancer.extras import missing_extra
from redox_balancer.terminal.refused import refused
from redox_balancer.terminal.streams import OutputError, guard_streams

Translate = Callable[[Exception], RedoxError | None]


def end(app: Callable[..., Any], program: str, translate: Translate | None = None) -> None:
    """Run a typer app, of the command `program`, and exit with its code.

    `translate` turns an exception of a library into a RedoxError; None for a bug, which keeps its traceback. What the
    operating system refuses is known without it.
    """
    guard_streams()
    # Matplotlib has much to say of a home folder that cannot be written, and needs none.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        code = _run(app, program, translate)
        sys.stdout.flush()
    except OutputError as error:
        code = EXIT_CLOSED_PIPE
        if not error.closed_pipe:
            _say(f"cannot write to stdout: {error}", "send it to a file or a program that can take it")
            code = EXIT_USER_ERROR
    sys.exit(code)


def _run(app: Callable[..., Any], program: str, translate: Translate | None) -> int:
    """Run the app, and return its exit code; an error that is no bug has been printed."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        # `--debug` may stand anywhere on the line; typer alone accepts it before the subcommand only.
        sys.argv = [sys.argv[0], *(argument for argument in sys.argv[1:] if argument != "--debug")]
    try:
        return app(standalone_mode=False) or 0
    except TyperException as error:
        # The message is empty where a call without arguments has just printed the help.
        if message := error.format_message():
            context = getattr(error, "ctx", None)
            _say(message, f"see {context.command_path if context else program} --help")
        return EXIT_USER_ERROR
    except OutputError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit):
            if not isinstance(error.__context__, BrokenPipeError):
                raise
            error = error.__context__  # typer ends without a word for a broken pipe of any process
        known = _known(error, translate)
        if debug or known is None:
            raise
        options = ", ".join(_options(app, sys.argv[1:], known.settings))
        _say(known.message, f"{known.hint} ({options})" if options else known.hint)
        return known.exit_code


def _known(error: Exception, translate: Translate | None) -> RedoxError | None:
    if isinstance(error, RedoxError):
        return error
    if isinstance(error, ImportError) and (missing := missing_extra(error)):
        return missing
    return (translate(error) if translate else None) or refused(error)


def _options(app: Callable[..., Any], arguments: Sequence[str], settings: Sequence[str]) -> list[str]:
    """Options of these settings, as far as the command that these arguments run has them."""
    command: Any = getattr(app, "func", app)
    if isinstance(command, typer.Typer):
        command = typer.main.get_command(command)
    for argument in arguments:
        command = getattr(command, "commands", {}).get(argument, command)
    options = {parameter.name: parameter.opts for parameter in getattr(command, "params", ())}
    return [opts[0] for name in settings if (opts := options.get(name)) and opts[0].startswith("-")]


def _say(message: str, hint: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]error:[/] {_plain(message)}")
    if hint:
        console.print(f"[bold]hint:[/]  {_plain(hint)}")


def _plain(text: str) -> str:
    """Text with rich's markup switched off: identifiers in brackets must show as they are."""
    return text.replace("[", r"\[")
