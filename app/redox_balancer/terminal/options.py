"""Options for typer commands that are built from data."""

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

RUNS = Path("experiments")  # folder of the runs, where a command gets none
_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f]+")
_HIDDEN = re.compile(r"^[\s.]+")
_LONGEST_NAME = 200

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def run_folder(model: str) -> Path:
    """Folder of the runs of a model, one level below `RUNS`, whatever its id."""
    name = _HIDDEN.sub("", _NOT_IN_NAMES.sub("_", model))
    name = name.encode(errors="ignore")[:_LONGEST_NAME].decode(errors="ignore")
    return RUNS / (name.strip() or "model")


def with_options(
    command: Callable[..., None], options: Sequence[inspect.Parameter], *, instead_of: str
) -> Callable[..., None]:
    """Replace one argument of a command by options built from data.

    typer reads the signature and the annotations, so both are set. The replaced argument may have a type that is
    imported for type checking only; then the module of the command must not postpone its annotations.
    """
    own = inspect.signature(command).parameters.values()
    parameters = [*(parameter for parameter in own if parameter.name != instead_of), *options]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
