"""Options that several verbs share, written once."""

from __future__ import annotations

from typing import Annotated

import typer

RunName = Annotated[str | None, typer.Option("--run", help="Name of the run; that of the settings if not given.")]
HostId = Annotated[str, typer.Option("--instance", help="Id of the host; asked for if not given.")]
