"""`redox evaluate`: a trained policy against searches, the best fixed construct and the oracle."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.options import HeldRatios
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import construct_text, notes, number, out, show

if TYPE_CHECKING:
    from redox_balancer.evaluation.benchmark import Benchmark

EXAMPLE = "Example: redox evaluate experiments/first experiments/second --on held-out --samples 64"


class EvaluatedConditions(StrEnum):
    """Conditions to evaluate on."""

    HELD_OUT = "held-out"
    TRAINING = "training"
    BOTH = "both"


def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of training runs that differ in their seed: replicates.")
    ],
    *,
    on: Annotated[EvaluatedConditions, typer.Option(help="Conditions to evaluate on.")] = EvaluatedConditions.BOTH,
    held_out: Annotated[
        Path | None, typer.Option(help="Held-out combinations (TOML); those of the package by default.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples of the policy for its best one.")] = 64,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds of each random method.")] = 5,
    evaluations: Annotated[
        int, typer.Option(min=1, help="Maximum number of constructs that a search evaluates for one condition.")
    ] = 1000,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Time limit of a search for one condition, in seconds; none by default."),
    ] = None,
    equal_time: Annotated[
        bool,
        typer.Option("--equal-time", help="Give each search the time of a training, in total over all conditions."),
    ] = False,
    time_limit_s: Annotated[
        float, typer.Option(min=1, help="Time limit of the oracle for one condition, in seconds.")
    ] = 600.0,
    output: Annotated[
        Path | None, typer.Option(help="Folder for evaluation.json and evaluation.svg; the first run's by default.")
    ] = None,
    held_ratios: HeldRatios = None,
    as_json: AsJson = False,
) -> None:
    """Compare the policy with random, greedy and evolutionary search, the best fixed construct and the oracle.

    Every method is evaluated on the training conditions and on held-out combinations of them. The share of the best
    known construct's value is an interquartile mean over seeds and conditions.
    """
    from redox_balancer.evaluation.comparison import HELD_OUT, TRAINING, Protocol, compare_methods  # noqa: PLC0415
    from redox_balancer.evaluation.methods import SearchBudget  # noqa: PLC0415
    from redox_balancer.files import write_atomically  # noqa: PLC0415
    from redox_balancer.report.figures import methods_compared  # noqa: PLC0415

    console = notes()
    protocol = Protocol(
        sets=(TRAINING, HELD_OUT) if on is EvaluatedConditions.BOTH else (on.value,),
        held_out=held_out,
        samples=samples,
        seeds=seeds,
        budget=SearchBudget(evaluations, seconds),
        equal_time=equal_time,
        time_limit_s=time_limit_s,
        held_ratios=held_ratios,
    )
    with console.status("reading the runs") as status:
        comparison = compare_methods(runs, protocol, progress=status_progress(status))
    if comparison.no_useful_design:
        console.print(f"excluded, no useful design: {', '.join(comparison.no_useful_design)}")
    spent = {
        "samples": samples,
        "seeds": seeds,
        "evaluations": None if equal_time else evaluations,
        "seconds": seconds,
        "equal_time": equal_time,
    }
    summary = {"runs": [str(run) for run in runs], **spent, **comparison.summary()}
    folder = output or runs[0]
    figure = methods_compared({name: benchmark.rows() for name, benchmark in comparison.benchmarks.items()})
    write_atomically(folder / "evaluation.svg", figure.svg().encode())
    write_atomically(folder / "evaluation.json", json.dumps(summary, indent=1).encode())
    if as_json:
        typer.echo(json.dumps(summary))
        return
    for name, benchmark in comparison.benchmarks.items():
        out().print(f"{len(benchmark.conditions)} {name} conditions")
        _show(benchmark)
    out().print(f"best fixed construct: {construct_text(summary['fixed_construct'])}")
    out().print(f"figure: {folder / 'evaluation.svg'}")


def _show(benchmark: "Benchmark") -> None:
    numbers = ("seeds", "share of best", "95 % interval", "smallest", "value", "regret", "s/answer", "LPs")
    columns = {"method": "left"} | dict.fromkeys((*numbers, "iterations", "training s"), "right")

    def percent(share: float) -> str:
        return f"{100 * share:.1f} %"

    def cells(row: dict[str, Any]) -> tuple[str, ...]:
        return (
            row["method"],
            str(row["seeds"]),
            percent(row["share"]),
            f"{100 * row['share_low']:.1f}-{percent(row['share_high'])}",
            percent(row["smallest_share"]),
            number(row["mean_value"]),
            number(row["mean_regret"]),
            f"{row['seconds']:.3f}",
            f"{row['solves']:,.0f}",
            f"{row['iterations']:,.0f}",
            f"{row['training_s']:,.0f}" if row["training_s"] else "-",
        )

    show(columns, map(cells, benchmark.rows()))
    if len(benchmark.unproven) == len(benchmark.conditions):
        out().print("no optimum is proven: shares are of the best construct found by any method")
    elif benchmark.unproven:
        out().print(f"without a proven optimum: {', '.join(benchmark.unproven)}")
    out().print()
