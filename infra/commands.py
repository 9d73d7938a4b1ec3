"""Shared by `python -m infra.deploy`, `infra.apply` and `infra.destroy`: settings and error handling."""

from __future__ import annotations

import sys
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from infra.settings import Settings, SettingsError, load
from redox_balancer.errors import EXIT_USER_ERROR, RedoxError


def run(command: Callable[[Settings], int]) -> int:
    """Run a command with the settings; a user error ends with one line, a hint and exit code 2."""
    try:
        return command(load())
    except SettingsError as error:
        for problem in error.problems:
            say(f"error: {problem}")
    except RedoxError as error:
        say(f"error: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        return error.exit_code
    except (ClientError, BotoCoreError) as error:
        say(f"error: {error}")
    return EXIT_USER_ERROR


def say(text: str) -> None:
    """Write a line for the user."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
