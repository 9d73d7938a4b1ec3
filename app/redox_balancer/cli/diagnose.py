"""`redox diagnose`: whether a cell's trouble is redox at all, and where."""

import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.model_page import alone
from redox_balancer.cli.options import Figure, flag, report_repairs, takes_task_without, write_figure
from redox_balancer.cli.ratios import print_ratios
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import notes, number, out, show

if TYPE_CHECKING:
    from redox_balancer.design.diagnosis import Diagnosis
    from redox_balancer.design.task import Task

EXAMPLE = (
    "Example: redox diagnose --conditions healthy,hypoxia,complex_iii_closed --figure pressure.svg; "
    "redox diagnose --conditions healthy,complex_i_closed --ratios --construct 'LBNOX_c 0.1 %'"
)

LIMITS_SHOWN = 2
DRAWS = 40
_OF_CONSTRUCTS = (
    *("enzymes", "candidates", "placements", "budget", "membrane_budget", "saturation", "sampling", "reward"),
    *("protein_price", "h2o2_price", "parameter_samples", "hidden_condition", "held_ratios"),
    *("measurement_noise", "measurement_cost"),
)


@takes_task_without(*_OF_CONSTRUCTS)
def diagnose(
    *,
    task: "Task",
    figure: Figure = None,
    ratios: Annotated[bool, typer.Option(help="Windows of NAD+/NADH and NADP+/NADPH and what closes them.")] = False,
    margin: Annotated[float, typer.Option(help="With --ratios: least driving force of each step, kJ/mol.")] = 0.0,
    draws: Annotated[int, typer.Option(min=0, help="With --ratios: draws of uncertain energies.")] = DRAWS,
    held_by_medium: Annotated[
        bool, typer.Option("--held-by-medium", help="With --ratios: lactate and pyruvate outside hold NAD+/NADH.")
    ] = False,
    construct: Annotated[
        str | None, typer.Option(help="With --ratios: placements and amounts, for a cell before and after.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say for each condition whether its trouble is redox, and where, from what outside reactions do to growth.

    Each pool of NADH, NADPH and ubiquinol is oxidised by an acceptor from outside, oxidised by the cell's own oxygen,
    and reduced by a donor from outside: growth gained (1/h) by up to 0.1 and 1 mmol/gDW/h, and its slope at 0. Pools
    in which nothing changes growth are not listed. The figure is a heat map of conditions and pools.

    With --ratios the answer is another one: the largest driving force that all steps of a growing cell can have at
    once, the ratios at which it can grow so, what closes their windows on either side, with the interval of 90 % of
    draws from the uncertainty of the energies, and the ratios at which capacities leave 95 % of growth. The figure is
    growth against NAD+/NADH. With --held-by-medium lactate dehydrogenase and the carriers of lactate and pyruvate are
    at equilibrium, and it and GAPD have measured capacities.
    """
    other = {"margin": margin, "draws": draws != DRAWS, "concentrations": task.concentrations, "construct": construct}
    other["held_by_medium"] = held_by_medium
    if not ratios and (given := [name for name, value in other.items() if value]):
        raise RedoxError(f"{flag(given[0])} does not go without --ratios", hint="add --ratios")
    if ratios:
        print_ratios(
            task,
            construct=construct,
            margin=margin,
            draws=draws,
            figure=figure,
            held_by_medium=held_by_medium,
            as_json=as_json,
        )
        return
    from redox_balancer.design.pressure import diagnose as diagnoses_of  # noqa: PLC0415 - loads the solver

    with notes().status("reading the model") as status:
        space = task.space({})
        report_repairs(space.network.repairs)
        found = list(diagnoses_of(space, status_progress(status)))
    if figure:
        from redox_balancer.design.pressure_map import pressure_map  # noqa: PLC0415 - loads Matplotlib

        write_figure(pressure_map(found), figure)
    if as_json:
        typer.echo(json.dumps({diagnosis.condition: diagnosis.data() for diagnosis in found}))
        return
    headings = {"condition": "left", "growth 1/h": "right", "lost": "right", "limited by": "left"}
    show(headings, map(_growth_cells, found))
    out().print()
    if rows := [row for diagnosis in found for row in _pressure_rows(diagnosis)]:
        numbers = [f"{kind} {what}" for kind in ("acceptor", "oxygen", "donor") for what in ("slope", "0.1", "1")]
        show({"condition": "left", "pool": "left"} | dict.fromkeys(numbers, "right"), rows)
        out().print("\n")
    out().print("\n".join(map(str, found)))


def _growth_cells(diagnosis: "Diagnosis") -> tuple[str, ...]:
    limits = ", ".join(
        f"{limit['name']} {limit['bound']} {limit['value']:.4g} ({limit['share']:.0%})" + alone(limit)
        for limit in diagnosis.limits[:LIMITS_SHOWN]
    )
    return diagnosis.condition, f"{diagnosis.growth:.5f}", f"{round(diagnosis.lost, 4) + 0.0:.1%}", limits or "-"


def _pressure_rows(diagnosis: "Diagnosis") -> Iterator[tuple[str, ...]]:
    for pressure in diagnosis.pressures:
        effects = pressure.acceptor, pressure.oxygen, pressure.donor
        # Where oxygen is short, taking more of it costs growth at any pool.
        if pressure.acceptor.slope or pressure.donor.slope or any(effect and any(effect.gains) for effect in effects):
            numbers = [(effect.slope, *effect.gains[1:]) if effect else (None,) * 3 for effect in effects]
            yield diagnosis.condition, pressure.pool, *map(number, itertools.chain(*numbers))
