"""`redox report`: one HTML page about a run."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.options import HeldRatios, writable_file
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import construct_text, notes, number, out, show

if TYPE_CHECKING:
    from redox_balancer.designer.design import Design
    from redox_balancer.search.front import ParetoFront

EXAMPLE = "Example: redox report experiments/first --episodes 1000"
LONGEST_SEARCH_S = 300.0  # estimated time of an exhaustive search on one core beyond which it is skipped by default


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    *,
    output: Annotated[
        Path | None, typer.Option(help="Path of the page; RUN/report.html by default.", callback=writable_file)
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per condition for the means.")] = 1000,
    exhaustive: Annotated[
        bool | None,
        typer.Option(help="Compare with the best of all constructs; by default if that takes minutes at most."),
    ] = None,
    designs: Annotated[
        bool, typer.Option(help="Analyse the best construct of each condition in the whole model.")
    ] = True,
    front_seconds: Annotated[
        float,
        typer.Option(min=0, help="Time limit of the Pareto front of each condition, in seconds; 0 for no fronts."),
    ] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    held_ratios: HeldRatios = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run: designs, Pareto fronts, policy, random and best constructs, learning curve."""
    from redox_balancer.designer.design import make_designs  # noqa: PLC0415
    from redox_balancer.designer.trained_run import TrainedRun  # noqa: PLC0415
    from redox_balancer.evaluation.score import estimated_search_s, score_policy  # noqa: PLC0415 - loads the solver
    from redox_balancer.report.html import write_report  # noqa: PLC0415
    from redox_balancer.search.exhaustive import exhaustive as search  # noqa: PLC0415
    from redox_balancer.search.front import pareto_fronts  # noqa: PLC0415

    console = notes()
    opened = TrainedRun.open(run)
    if held_ratios is not None:
        opened = opened.elsewhere(held_ratios=held_ratios)
    policy = opened.policy()
    environments = opened.environments()
    space = environments.space
    count = len(space.conditions)
    with console.status("playing episodes") as status:
        score = score_policy(environments, policy, episodes=episodes, seed=seed, progress=status_progress(status))
    placements = opened.task.placements
    if exhaustive is None:
        estimate = estimated_search_s(space, placements)
        exhaustive = estimate <= LONGEST_SEARCH_S
        if not exhaustive:
            console.print(f"an exhaustive search takes about {estimate / 60:.0f} min: skipped (--exhaustive runs it)")
    if exhaustive:
        with console.status("evaluating every construct") as status:
            references = search(
                space,
                placements,
                processes=os.cpu_count() or 1,
                progress=lambda y: status.update(f"evaluating every construct: {y.condition} done, {count} in all"),
            )
        score = replace(score, references=references)
    made: list[Design] = []
    if designs:
        with console.status("designs") as status:
            made = make_designs(score.proposals(), progress=status_progress(status))
    fronts: dict[str, ParetoFront] = {}
    if designs and front_seconds:
        with console.status("Pareto fronts") as status:
            fronts = pareto_fronts(space, placements, seconds=front_seconds, progress=status_progress(status))
    target = output or run / "report.html"
    write_report(opened, score, made, target, fronts)
    summary = score.summary() | {
        "designs": [design.data() for design in made],
        "fronts": {name: front.data() for name, front in fronts.items()},
        "report": str(target),
    }
    if as_json:
        typer.echo(json.dumps(summary))
        return
    numbers = dict.fromkeys(("random", "policy", "best", "share"), "right")
    rows = [
        (
            row["condition"],
            *(number(row[name]) for name in ("random_mean", "policy_mean", "best")),
            "-" if row["share"] is None else f"{100 * row['share']:.1f} %",
            construct_text(row["construct"]),
        )
        for row in summary["conditions"]
    ]
    show({"condition": "left"} | numbers | {"best construct of the policy": "left"}, rows)
    if summary["policy_share_of_best"] is not None:
        out().print(
            f"\npolicy: {100 * summary['policy_share_of_best']:.1f} % of the best constructs' value "
            f"(hardest condition {100 * summary['smallest_share_of_best']:.1f} %), "
            f"mean over {episodes:,} episodes in each condition"
        )
    out().print(f"report: {target}")
