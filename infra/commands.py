"""Shared by the commands that change a deployment: settings, error handling, and the confirmation of a host."""

import argparse
import sys
from collections.abc import Callable

from infra.quota import hint
from infra.settings import Settings, SettingsError, load
from redox_balancer.errors import EXIT_USER_ERROR, RedoxError


def run(command: Callable[[Settings], int]) -> int:
    """Run a command with the settings; a user error ends with one line, a hint and exit code 2."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - `python -m ops --help` does without

    try:
        settings = load()
    except SettingsError as error:
        return error.show()
    try:
        return command(settings)
    except RedoxError as error:
        say(f"error: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        return error.exit_code
    except (ClientError, BotoCoreError) as error:
        say(f"error: {error}")
        if way_out := hint(settings, str(error)):
            say(f"hint: {way_out}")
        return EXIT_USER_ERROR


def say(text: str) -> None:
    """Write a line for the user."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def without_snapshot(parser: argparse.ArgumentParser) -> None:
    """Add the option of the commands that take an image of the host first."""
    parser.add_argument("--no-snapshot", dest="snapshot", action="store_false", help="take no image before")


def require_confirmation(given: str, expected: str, command: str) -> None:
    """Require the user to name a resource by its id, as an option (`given`) or on the terminal.

    `command` is the one that includes the confirmation, for the hint.
    """
    try:
        answer = given or input(f"type {expected} to continue: ").strip()
    except EOFError:
        answer = ""
    if answer != expected:
        raise RedoxError(f"{answer or 'nothing'} is not {expected}: nothing was changed", hint=command)
