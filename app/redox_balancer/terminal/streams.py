"""Standard streams that do not break a program: closed, on a full disk, or in an encoding that lacks characters."""

import io
import os
import sys
from typing import Any

ERRORS = "backslashreplace"
"""A character that an encoding lacks is written as its number: \\u03b1."""


class OutputError(Exception):
    """The results could not be written to stdout.

    Not an OSError: rich and typer end the program where they see one.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.closed_pipe = isinstance(error, BrokenPipeError)


class _Stream(io.TextIOWrapper):
    """A standard stream that never fails with an OSError: results raise `OutputError`, remarks are dropped."""

    required = False
    buffer: Any = None  # typer would write to it, past this class, where the encoding is ASCII

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if self.required:
            # Python would flush the rest at the end, and fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            raise OutputError(error) from error


def guard_streams() -> None:
    """Make stdout and stderr fit for anything; a stream that was replaced, as in a test, is left alone."""
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise the next file would get this number, and the output. Writing results to this one fails.
            os.open(os.devnull, mode)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, 1)
        sys.stdout.required = True
    if sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, 2)


def _guarded(stream: Any, descriptor: int) -> _Stream:
    if stream is None:  # Python found the descriptor closed
        return _Stream(open(descriptor, "wb", closefd=False), "utf-8", ERRORS, line_buffering=True)
    stream.flush()
    return _Stream(stream.buffer, stream.encoding, ERRORS, line_buffering=stream.line_buffering)
