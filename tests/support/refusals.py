"""Errors that a user sees: one clear line, and a hint that helps."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from redox_balancer.errors import EXIT_USER_ERROR, RedoxError


@contextmanager
def refused(
    message: str, hint: str = "", settings: tuple[str, ...] | None = None
) -> Iterator[pytest.ExceptionInfo[RedoxError]]:
    """The block is refused in one line with this in it, and a hint; the hint is about `settings`, where given."""
    with pytest.raises(RedoxError) as caught:
        yield caught
    error = caught.value
    assert message in error.message
    assert error.hint
    assert hint in error.hint
    assert "\n" not in error.message + error.hint
    assert error.exit_code == EXIT_USER_ERROR
    assert settings in (None, error.settings)
