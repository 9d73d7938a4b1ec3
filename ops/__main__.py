"""`python -m ops`: collects the verbs, one module of `ops.commands` each, and gives each `--dry-run` and `--json`."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from typing import Annotated, Any

import typer

from infra.settings import FILE, SettingsError, load
from ops import commands as verbs
from ops.session import Answer, Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.options import AsJson, with_options
from redox_balancer.terminal.outcome import end
from redox_balancer.terminal.tables import out

PROGRAM = "python -m ops"

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing anywhere.")]
KEYWORD = inspect.Parameter.KEYWORD_ONLY
SHARED = (
    inspect.Parameter("dry_run", KEYWORD, default=False, annotation=DryRun),
    inspect.Parameter("as_json", KEYWORD, default=False, annotation=AsJson),
)


def build() -> typer.Typer:
    """Return the command line with every verb that there is a module of."""
    app = typer.Typer(
        help=f"Look after the deployment that {FILE.name} describes: train on it, watch it, bring it back.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in verb_names():
        module = importlib.import_module(f"ops.commands.{name.replace('-', '_')}")
        app.command(name, epilog=module.EXAMPLE)(_command(getattr(module, name.replace("-", "_"))))
    return app


def _root(*, debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    del debug  # `end` reads it itself


def verb_names() -> list[str]:
    """Return the names of all verbs, as they are typed."""
    return sorted(each.name.replace("_", "-") for each in pkgutil.iter_modules(verbs.__path__))


def _command(verb: Callable[..., Answer | None]) -> Callable[..., None]:
    """Make a command of a verb: its session is opened from the shared options, its answer printed."""

    @functools.wraps(verb)
    def run(*, dry_run: bool, as_json: bool, **given: Any) -> None:
        with Session(_settings(), dry_run=dry_run) as session:
            answer = verb(session, **given)
        if answer is None:
            return
        if as_json:
            typer.echo(json.dumps(answer.data))
        elif answer.shown is not None:
            out().print(answer.shown)
        if answer.error is not None:
            raise answer.error
        if answer.exit_code:
            raise typer.Exit(answer.exit_code)

    run.__signature__ = inspect.signature(verb, eval_str=True)  # type: ignore[attr-defined]
    return with_options(run, SHARED, instead_of="session")


def _settings() -> Any:
    try:
        return load()
    except SettingsError as error:
        raise RedoxError("; ".join(error.problems), hint=f"python3 -m infra.settings checks {FILE.name}") from error


def told(error: Exception) -> RedoxError | None:
    """Return what a user is told of an error of AWS, of Docker or of a connection."""
    import botocore.exceptions as aws  # noqa: PLC0415 - only an error needs it

    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError | aws.SSOError):
        return RedoxError(f"AWS knows nobody: {error}", hint="log in first: aws configure, or aws sso login")
    if isinstance(error, aws.ClientError):
        found = error.response.get("Error", {})
        text = f"AWS refuses {error.operation_name}: {found.get('Code')}: {found.get('Message')}"
        return RedoxError(text, hint="aws sts get-caller-identity says who you are to AWS")
    if isinstance(error, aws.BotoCoreError):
        return RedoxError(f"AWS does not answer: {error}", hint="is the network up, and the region right?")
    return _told_of_docker(error)


def _told_of_docker(error: Exception) -> RedoxError | None:
    if not type(error).__module__.startswith(("docker.", "requests.")):  # else it need not even be there
        return None
    from docker.errors import DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415 - comes with it, which lets them through

    if isinstance(error, DockerException | RequestException):
        return RedoxError(f"Docker: {str(error).splitlines()[0]}", hint="docker version: does the engine answer?")
    return None


def main() -> None:
    """Run `python -m ops`."""
    end(functools.partial(build(), prog_name=PROGRAM), PROGRAM, told)


if __name__ == "__main__":
    main()
