"""The exception for everything that a user can fix, also for an optional package that is not installed."""

from collections.abc import Sequence

# Exit codes of the command line; a supervisor restarts a training that exits with any other code.
EXIT_OK = 0
EXIT_USER_ERROR = 2  # the user has to fix something first
EXIT_CLOSED_PIPE = 141  # nobody reads stdout any more, `redox ... | head`; 128 + SIGPIPE, as in a shell
EXIT_UNREACHABLE = 75  # S3 did not answer; a later try may succeed (EX_TEMPFAIL of sysexits.h)
EXIT_NONSENSE = 70  # a watchdog stopped a training that learns from nonsense
EXTRAS = {
    "torch": "train",
    "ray": "train",
    "tensorboard": "train",
    "boto3": "s3",
    "memray": "profile",
    "nicegui": "explore",
}
"""Extra by package."""


class RedoxError(Exception):
    """Something a user can understand and fix.

    Parameters
    ----------
    message
        What happened, in one line.
    hint
        What to do about it, in terms of the library; empty where no action helps.
    settings
        Names of the settings (fields of `Task` or `TrainConfig`, arguments of a function) that the hint is about; the
        command line adds the options of the same names.
    exit_code
        Exit code of the command line; 2 unless a supervisor must tell cases apart.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> try:
    ...     rb.Task(placements=11)
    ... except rb.RedoxError as error:
    ...     print(error, error.hint, error.settings, sep="; ")
    placements = 11: Input should be less than or equal to 10; Maximum number of placements ...; ('placements',)
    """

    def __init__(
        self, message: str, *, hint: str = "", settings: Sequence[str] = (), exit_code: int = EXIT_USER_ERROR
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.settings = tuple(settings)
        self.exit_code = exit_code


def missing_extra(error: ImportError) -> RedoxError | None:
    """Return the error a user sees for an optional package that is not installed; None for any other package."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return None
    return RedoxError(f"this needs {package}, which is not installed", hint=f"pip install 'redox_balancer[{extra}]'")
