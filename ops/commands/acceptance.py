"""`make acceptance`: the story of the demo on a real account."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from infra.settings import VARIABLE
from ops.session import CommandResult, Session
from redox_balancer.terminal.tables import notes, number, table

EXAMPLE = "Example: python -m ops acceptance --dry-run"
NAME = "acceptance"


def acceptance(
    session: Session,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for a confirmation.")] = False,
    image: Annotated[str, typer.Option(help="An image that its repository has or can pull: none is built.")] = "",
    to: Annotated[Path, typer.Option(help="Folder of settings, log, run and report.")] = Path(
        "experiments/acceptance"
    ),
) -> CommandResult:
    """Tell the story of the demo on the account of your login, with a small host, and remove everything again.

    An hour, and less than a dollar; each step is listed with its expected cost first. The deployment has names of its
    own. Needs the rights of an administrator, and a bootstrapped CDK.
    """
    from ops.demo import account  # noqa: PLC0415 - not needed for `--help`
    from ops.demo.story import tell  # noqa: PLC0415

    settings = session.settings
    if settings.names.prefix != account.PREFIX:
        if not session.dry_run:
            _again(to)
        with tempfile.TemporaryDirectory() as folder:
            settings = account.settings(Path(folder) / "deploy.toml")
    steps = account.plan(settings)
    minutes, usd = (sum(values) for values in list(zip(*steps, strict=True))[1:])
    rows = [(step, f"{each}", number(cost, 2)) for step, each, cost in [*steps, ("in total", minutes, usd)]]
    shown = table({"step": "left", "minutes": "right", "USD": "right"}, rows)
    if session.dry_run:
        return CommandResult({"plan": steps, "usd": usd}, shown)
    notes().print(shown)
    consequence = (
        f"deploys {account.PREFIX}RedoxTraining, removes all with such names at the end; minutes are assumed"
    )
    session.confirm(NAME if yes else "", NAME, consequence, "make acceptance OPS_OPTIONS=--yes")
    stage = account.AccountStage(session, to, image)
    results, text = tell(stage, to, session.note)
    return CommandResult({**results, "left": stage.left}, text, exit_code=1 if stage.left else 0)


def _again(to: Path) -> None:
    """Begin again with the settings of this story: names are read once in a process."""
    from ops.demo import account  # noqa: PLC0415 - as above

    to.mkdir(parents=True, exist_ok=True)
    account.settings(to / "deploy.toml")
    environment = {**os.environ, VARIABLE: str((to / "deploy.toml").absolute())}
    os.execve(sys.executable, [sys.executable, "-m", "ops", *sys.argv[1:]], environment)  # noqa: S606
