"""Options that several commands share."""

from typing import Annotated

import typer

RunName = Annotated[str | None, typer.Option("--run", help="Name of the run; by default, that of the settings.")]
HostId = Annotated[str, typer.Option("--instance", help="Id of the host, to confirm; asked for if not given.")]
