"""The one exception a user is meant to see: what happened, and how to mend it."""

EXIT_USER_ERROR = 2


class RedoxError(Exception):
    """Something a user can understand and mend.

    Parameters
    ----------
    message
        What happened, in one line.
    hint
        What to do about it; empty where there is nothing sensible to say.
    exit_code
        Exit code of the command line; 2 unless a supervisor must tell cases apart.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = EXIT_USER_ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
