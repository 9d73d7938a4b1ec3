"""How a command line ends: an error is one line, a hint and an exit code, wherever it is raised."""

import errno
import logging
import os
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

import typer
from rich.console import Console
from typer.exceptions import TyperException

from redox_balancer.errors import EXIT_CLOSED_PIPE, EXIT_UNREACHABLE, EXIT_USER_ERROR, RedoxError, missing_extra
from redox_balancer.resources import address_space_limit
from redox_balancer.terminal.streams import OutputError, guard_streams

Translate = Callable[[Exception], RedoxError | None]
# What programs and libraries say where they have no exception of their own.
NO_MEMORY = ("failed to map segment", "cannot allocate memory", "unable to allocate", "bad_alloc", "out of memory")
NO_THREAD = "can't start new thread"


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


def refused(error: BaseException) -> RedoxError | None:
    """Return the error that a user sees; None for one that the operating system has no part in."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        return out_of_memory()
    if isinstance(error, (BrokenExecutor, BrokenPipeError)):
        return RedoxError(
            "a process that this command had started ended early",
            hint="did memory run out (dmesg), or may this user not run Python there? --debug shows where it was used",
            exit_code=EXIT_UNREACHABLE,
        )
    if isinstance(error, RuntimeError) and NO_THREAD in text:
        return RedoxError(
            f"no further thread can be started: this user may have {resource.getrlimit(resource.RLIMIT_NPROC)[0]}",
            hint="raise the limit of processes (ulimit -u), in a container --pids-limit",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(error)
    return None


def out_of_memory() -> RedoxError:
    """Return the error of a failed allocation, which names the limit of this process if it has one."""
    limit = address_space_limit()
    if limit is None:
        return RedoxError(
            "memory ran out", hint="end other programs, or use a machine with more", exit_code=EXIT_UNREACHABLE
        )
    return RedoxError(
        f"memory ran out: the limit of this process is {limit / 1e6:,.0f} MB", hint="raise it (ulimit -v)"
    )


def _of_system(error: OSError) -> RedoxError | None:
    try:
        os.getcwd()  # noqa: PTH109 - the call that fails
    except FileNotFoundError:
        return RedoxError("the working folder was removed", hint="change to another folder and try again")
    hints = {
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
        errno.ENOSPC: "free some disk",
        errno.EDQUOT: "free some disk: the quota of this user is used up",
    }
    what = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or os.strerror(error.errno or 0)
    return RedoxError(
        f"{what}{reason[:1].lower()}{reason[1:]}",
        hint=hints.get(error.errno or 0, "check the path, its permissions and free space; --debug shows where"),
    )
