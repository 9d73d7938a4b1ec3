"""COBRApy, imported here alone, so that it needs no home folder; and what keeps it off stdout and stderr."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from logging.handlers import BufferingHandler
from pathlib import Path

_CACHE_VARIABLE = "XDG_CACHE_HOME"


def _can_cache() -> bool:
    try:
        # As COBRApy finds it, which without a home would create a folder `~` in the working folder.
        folder = Path(os.environ.get(_CACHE_VARIABLE, "~/.cache")).expanduser() / "cobrapy"
        if folder.is_absolute():
            folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return False
    return folder.is_absolute()


# The import of COBRApy creates a cache folder, which nothing here uses, and fails where it cannot.
if _can_cache():
    import cobra
else:
    _before = {name: os.environ[name] for name in (_CACHE_VARIABLE,) if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="redox-cache-", ignore_cleanup_errors=True) as _folder:
        os.environ[_CACHE_VARIABLE] = _folder
        import cobra
    del os.environ[_CACHE_VARIABLE]
    os.environ.update(_before)

__all__ = ["cobra", "quiet_cobra"]


@contextmanager
def quiet_cobra() -> Iterator[list[logging.LogRecord]]:
    """Silence COBRApy: its messages are collected in the list that is yielded, its prints go to stderr."""
    logger, listener = logging.getLogger("cobra"), BufferingHandler(sys.maxsize)
    handlers, propagate, level = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [listener], False
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield listener.buffer
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
