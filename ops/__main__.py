"""`python -m ops`: one command for each module of `ops.commands`, each with `--dry-run` and `--json`."""

import functools
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from typing import Annotated, Any

import typer

from infra.settings import FILE, Settings, SettingsError, load
from ops import commands
from ops.errors import translate_errors
from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.options import AsJson, with_options
from redox_balancer.terminal.outcome import end
from redox_balancer.terminal.tables import out

PROGRAM = "python -m ops"

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the changes that would be made, and make none.")]
KEYWORD = inspect.Parameter.KEYWORD_ONLY
SHARED = (
    inspect.Parameter("dry_run", KEYWORD, default=False, annotation=DryRun),
    inspect.Parameter("as_json", KEYWORD, default=False, annotation=AsJson),
)


def build() -> typer.Typer:
    """Return the command line with all commands."""
    app = typer.Typer(
        help=f"Operate the deployment that {FILE.name} describes: train on it, monitor it, restore it.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in command_names():
        module = importlib.import_module(f"ops.commands.{name.replace('-', '_')}")
        app.command(name, epilog=module.EXAMPLE)(_with_session(getattr(module, name.replace("-", "_"))))
    return app


def _root(*, debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    del debug  # read by `end`


def command_names() -> list[str]:
    """Return the names of all commands, as they are typed."""
    return sorted(each.name.replace("_", "-") for each in pkgutil.iter_modules(commands.__path__))


def _with_session(command: Callable[..., CommandResult | None]) -> Callable[..., None]:
    """Wrap a command: create its session from the shared options, and print its result."""

    @functools.wraps(command)
    def run(*, dry_run: bool, as_json: bool, **options: Any) -> None:
        result = command(Session(_settings(), dry_run=dry_run), **options)
        if result is None:
            return
        if as_json:
            typer.echo(json.dumps(result.data))
        elif result.shown is not None:
            out().print(result.shown)
        if result.error is not None:
            raise result.error
        if result.exit_code:
            raise typer.Exit(result.exit_code)

    run.__signature__ = inspect.signature(command, eval_str=True)  # type: ignore[attr-defined]
    return with_options(run, SHARED, instead_of="session")


def _settings() -> Settings:
    try:
        return load()
    except SettingsError as error:
        raise RedoxError("; ".join(error.problems), hint=f"python3 -m infra.settings checks {FILE.name}") from error


def main() -> None:
    """Run `python -m ops`."""
    end(functools.partial(build(), prog_name=PROGRAM), PROGRAM, translate_errors)


if __name__ == "__main__":
    main()
