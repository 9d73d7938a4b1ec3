"""`redox design`: the construct a trained policy proposes for a condition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from redox_balancer.cli.options import AsJson

EXAMPLE = "Example: redox design experiments/first --condition complex_iii_closed"


def design(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    *,
    condition: Annotated[str, typer.Option(help="Id of a condition of the run.")] = "healthy",
    samples: Annotated[
        int, typer.Option(min=0, help="Also sample this many constructs and take the best of all.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Propose a construct for a condition: placements, protein cost, growth, capacity and value."""
    import numpy as np  # noqa: PLC0415 - starts at once without

    from redox_balancer.cell.records import pick  # noqa: PLC0415
    from redox_balancer.cli.tables import out, table  # noqa: PLC0415
    from redox_balancer.report.evaluation import BATCH, play  # noqa: PLC0415
    from redox_balancer.report.run import Run  # noqa: PLC0415

    opened = Run.open(run)
    environments = opened.environments()
    policy = opened.policy()
    space = environments.space
    known = {entry.id: entry for entry in space.conditions}
    chosen = pick(known, condition, "condition")
    envs = environments(BATCH)
    evaluator = envs[0].evaluator
    played = play(envs, condition, policy, 1, None)
    if samples:
        played += play(envs, condition, policy, samples, np.random.default_rng(seed))
    best = max(played, key=lambda entry: entry.outcome.value)
    reference = evaluator.reference(space.state(chosen))
    rows = space.describe(best.construct)
    answer = {
        "run": str(run),
        "condition": condition,
        "construct": rows,
        "protein": space.protein(best.construct),
        "budget": space.budget,
        "membrane_protein": space.spent(best.construct)[1],
        "membrane_budget": space.membrane_budget,
        "value": best.outcome.value,
        "growth": best.outcome.growth,
        "growth_without": reference.growth,
        "healthy_growth": evaluator.healthy_growth,
        "capacity": best.outcome.capacity,
        "rescue": best.outcome.rescue,
    }
    if as_json:
        typer.echo(json.dumps(answer))
        return
    columns = {"placement": "left", "enzyme": "left", "reaction": "left", "proteome": "right", "flux cap": "right"}
    out().print(f"{condition}: {chosen.description}\n", markup=False)
    out().print(
        table(
            columns,
            [
                (
                    row["placement"],
                    row["name"],
                    row["reaction"],
                    f"{100 * row['proteome_fraction']:g} %",
                    f"{row['flux_cap_mmol_gdw_h']:.3g}",
                )
                for row in rows
            ],
        )
    )
    out().print(
        f"\nprotein   {100 * space.protein(best.construct):.3g} % of the proteome, budgets {100 * space.budget:g} % "
        f"soluble and {100 * space.membrane_budget:g} % membrane\n"
        f"growth    {reference.growth:.5f} -> {best.outcome.growth:.5f} 1/h, "
        f"healthy {evaluator.healthy_growth:.5f}\n"
        f"capacity  {best.outcome.capacity:.4f} mmol NAD(P)H/gDW/h\n"
        f"value     {best.outcome.value:.4f} healthy respirations"
    )
