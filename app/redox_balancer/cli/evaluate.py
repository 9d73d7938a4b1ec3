"""`redox evaluate`: trained policies, the engine and every search under conditions that no policy was trained on."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.options import given, takes_task_without
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import phase_progress
from redox_balancer.terminal.tables import construct_text, notes, out, show

if TYPE_CHECKING:
    from redox_balancer.design.task import Task

EXAMPLE = "Example: redox evaluate experiments/first experiments/second --on states --seconds 0.1"


class EvaluatedConditions(StrEnum):
    """Conditions to evaluate on."""

    HELD_OUT = "held-out"
    STATES = "states"
    PAIRS = "pairs"
    VALIDATION = "validation"
    TRAINING = "training"
    BOTH = "both"


@takes_task_without("sampling")
def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of training runs that differ in their seed: replicates.")
    ],
    *,
    on: Annotated[
        EvaluatedConditions,
        typer.Option(
            help="Conditions to evaluate on: independent states, pairs of conditions, held-out for these two; "
            "validation for other states, to choose settings on; training, and both for training and held-out."
        ),
    ] = EvaluatedConditions.HELD_OUT,
    states: Annotated[int, typer.Option(min=1, help="Number of independent states.")] = 28,
    held_out: Annotated[
        Path | None, typer.Option(help="Held-out combinations (TOML) in place of the pairs of the package.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds of each method that draws.")] = 5,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Time per answer of the tables, in seconds.", show_default="0.1; 1 with samples"
        ),
    ] = None,
    longest: Annotated[
        float | None,
        typer.Option(min=0.001, help="Time per answer up to which the curves go.", show_default="1; 2 with samples"),
    ] = None,
    time_limit_s: Annotated[
        float, typer.Option(min=1, help="Time limit of the oracle for one condition, in seconds.")
    ] = 600.0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, each on one thread.")] = os.cpu_count() or 1,
    output: Annotated[
        Path | None, typer.Option(help="Folder for evaluation.md, .svg and .json; the first run's by default.")
    ] = None,
    task: "Task",
    as_json: AsJson = False,
    # Options of version 0.1, whose searches were limited in other ways; they change nothing.
    samples: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
    evaluations: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
    equal_time: Annotated[bool, typer.Option("--equal-time", hidden=True)] = False,
) -> None:
    """Compare the engine with and without policies, the policies alone, other searches, one construct and the oracle.

    Every method answers on one thread from an evaluator without cached results. Shares are of the best known
    construct's value, as interquartile mean, mean and least over seeds and conditions; a curve shows them by time,
    and the number of answers from which on training has paid for itself follows. Optima found by valuing every
    construct are read from an earlier evaluation.json in the same folder, where that is of the same task.
    """
    from redox_balancer.evaluation.comparison import (  # noqa: PLC0415
        PAIRS,
        STATES,
        TRAINING,
        Protocol,
        compare_methods,
    )
    from redox_balancer.files import write_atomically  # noqa: PLC0415
    from redox_balancer.report.comparison import HEADINGS, caption, markdown, method_rows, proofs  # noqa: PLC0415
    from redox_balancer.report.figures import methods_compared  # noqa: PLC0415

    if samples or evaluations or equal_time:
        notes().print("--samples, --evaluations and --equal-time no longer change anything: see --seconds")
    several = {EvaluatedConditions.HELD_OUT: (STATES, PAIRS), EvaluatedConditions.BOTH: (TRAINING, STATES, PAIRS)}
    protocol = Protocol(
        sets=several.get(on, (on.value,)),
        states=states,
        held_out=held_out,
        seeds=seeds,
        seconds=seconds,
        longest=longest,
        oracle_s=time_limit_s,
        elsewhere=given(task),
        jobs=jobs,
    )
    folder = output or runs[0]
    with phase_progress("reading the runs") as progress:
        summary = compare_methods(runs, protocol, earlier=_earlier(folder / "evaluation.json"), progress=progress)
    write_atomically(folder / "evaluation.svg", methods_compared(summary).svg().encode())
    write_atomically(folder / "evaluation.md", markdown(summary).encode())
    write_atomically(folder / "evaluation.json", json.dumps(summary).encode())
    if as_json:
        typer.echo(json.dumps(summary))
        return
    for name, benchmark in summary["sets"].items():
        out().print(caption(name, benchmark))
        show(HEADINGS, method_rows(benchmark))
        out().print(f"{proofs(benchmark)}\n")
    if useless := summary["no_useful_design"]:
        out().print(f"excluded, no useful design: {', '.join(useless)}")
    out().print(f"best fixed construct: {construct_text(summary['fixed_construct'])}")
    out().print(f"page, with the break-even of training: {folder / 'evaluation.md'}")


def _earlier(path: Path) -> dict[str, Any] | None:
    """The summary of an earlier evaluation; None where there is none or it is of version 0.1."""
    try:
        summary: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RedoxError(f"{path} is damaged: {error}", hint="remove it, or choose another --output") from error
    return summary
