"""`redox doctor`: the checks before a training."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from redox_balancer.cli.options import RunFolder, takes_config, takes_task
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.terminal.options import AsJson, run_folder
from redox_balancer.terminal.tables import notes, out, show

if TYPE_CHECKING:
    from redox_balancer.design.task import Task

EXAMPLE = "Example: redox doctor --num-actors 100 --json"

COLORS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@takes_config()
@takes_task
def doctor(*, task: "Task", config: TrainConfig, checkpoint_dir: RunFolder = None, as_json: AsJson = False) -> None:
    """Check limits, threads, memory, disk, solver and reward signal for a training with these options.

    Exit code 2 if a check fails; `redox train` runs the same checks before it starts.
    """
    from rich.text import Text  # noqa: PLC0415

    from redox_balancer.runs.preflight import Level, all_checks  # noqa: PLC0415

    environments = task.environments()
    folder = checkpoint_dir or run_folder(environments.space.network.id)
    with notes().status("checking"):
        checks = list(all_checks(config, environments, folder, solver=solve_something))
    if as_json:
        typer.echo(json.dumps({"checks": [asdict(check) for check in checks]}))
    else:
        rows = [
            (check.name, Text(check.level, style=COLORS[check.level]), check.found, check.needed) for check in checks
        ]
        show(dict.fromkeys(("check", "", "found", "needed"), "left"), rows)
        for check in checks:
            if check.level is Level.WARN:
                out().print(f"{check.name}: {check.remedy}")
    failed = [check for check in checks if check.level is Level.FAIL]
    if failed:
        raise RedoxError(
            f"{failed[0].name}: {failed[0].found}; needed: {failed[0].needed}"
            + (f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""),
            hint=failed[0].remedy,
            settings=failed[0].settings,
        )


def solve_something() -> str:
    """Solve a linear program with a known optimum and return the name of the solver; a RedoxError if it fails."""
    from importlib.metadata import version  # noqa: PLC0415

    from redox_balancer.cell.lp import FluxLP  # noqa: PLC0415
    from redox_balancer.cell.network import Column, Network  # noqa: PLC0415

    # One metabolite: two sources of at most 1 and 2 mmol/gDW/h feed a sink of at most 10.
    sources = Column("first", {"m": 1.0}, 0.0, 1.0), Column("second", {"m": 1.0}, 0.0, 2.0)
    with FluxLP(Network.of("chain", [*sources, Column("sink", {"m": -1.0}, 0.0, 10.0)], "sink")) as lp:
        solution = lp.maximise()
    if not solution.optimal or abs(solution.objective - 3.0) > 1e-9:
        raise RedoxError(
            f"the solver gives {solution.objective} ({solution.status.name}) for a linear program whose optimum is 3",
            hint="pip install --force-reinstall swiglpk",
        )
    return f"GLPK by swiglpk {version('swiglpk')}"
