"""`redox build-core`: the consistent core of a model, the reactions that can carry flux on a medium."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cell.repairs import shortened
from redox_balancer.cli.options import AsPublished, CellsFile, Curation, Medium, report_repairs, writable_file
from redox_balancer.design.settings import ids
from redox_balancer.progress import Progress
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import phase_progress
from redox_balancer.terminal.tables import out, show

if TYPE_CHECKING:
    from redox_balancer.cell.core import Core

DEFAULT_BIOMASS = "BIOMASS_reaction"  # growth reaction of Recon3D, whose objective is a maintenance reaction

EXAMPLE = "Example: redox build-core --input Recon3D.json.gz --output core.json --reactions 1500 --json"

PHASES = 8  # number of steps of the progress bar

REASONS = "closed", "dead_ends", "blocked_one_way", "blocked_reversible"
_SHOWN = 8


def build_core(
    input_file: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="Model: JSON, SBML, MAT or YAML, also compressed.")
    ],
    output_file: Annotated[
        Path,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Path of the core; the suffix determines the format.",
            callback=writable_file,
        ),
    ],
    *,
    reactions: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Desired size: warn if the core is larger. What can carry flux is never removed."
        ),
    ] = None,
    medium: Medium = "human_minimal",
    biomass: Annotated[
        str | None,
        typer.Option(
            help=f"Reaction whose flux is growth; {DEFAULT_BIOMASS} if the model has it, else its objective."
        ),
    ] = None,
    conditions_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Conditions, TOML; what they open is in the core. The packaged ones."),
    ] = None,
    cell: Annotated[
        list[str] | None,
        typer.Option(help="Cell lines; what their measured rates open is in the core. 'all' for every line."),
    ] = None,
    cells_file: CellsFile = None,
    as_published: AsPublished = False,
    curation: Curation = None,
    as_json: AsJson = False,
) -> None:
    """Extract the consistent core of a model: every reaction that can carry flux on a medium.

    What a condition or a cell line opens, such as another uptake, counts as open. The core has the medium and the
    objective, and grows like the full model. The report lists the reactions that each rule keeps (growth, reactions
    essential for growth, central carbon metabolism, the medium) and those of them that cannot carry flux. Recon3D
    takes about half a minute.
    """
    from redox_balancer.cell.cell_lines import pick_cell_lines, skipped_exchanges  # noqa: PLC0415
    from redox_balancer.cell.choice import fitting_conditions, opened  # noqa: PLC0415
    from redox_balancer.cell.conditions import Offered, load_conditions  # noqa: PLC0415
    from redox_balancer.cell.core import core_model, extract_core  # noqa: PLC0415 - loads SciPy and the solver
    from redox_balancer.cell.curation import curate_model  # noqa: PLC0415
    from redox_balancer.cell.exchanges import supplying_reactions  # noqa: PLC0415
    from redox_balancer.cell.media import apply_medium, get_medium  # noqa: PLC0415
    from redox_balancer.cell.models import format_to_write, load_model, save_model  # noqa: PLC0415

    format_to_write(output_file)
    get_medium(medium)  # an unknown one is refused before the model is read
    load_conditions(conditions_file)
    lines = pick_cell_lines(ids(cell or []), cells_file)
    with phase_progress("reading the model") as progress:
        phases = _Phases(progress)
        phases("reading the model")
        loaded = load_model(input_file)
        if biomass is None and DEFAULT_BIOMASS in loaded.model.reactions:
            biomass = DEFAULT_BIOMASS
        found = loaded.curated(biomass, as_published=as_published, curation=curation)
        full = found.network
        fed = apply_medium(full, medium)
        every = load_conditions(conditions_file).values()
        known = [condition for condition in every if condition.offered is not Offered.EMBEDDED]
        known += [line.condition(fed) for line in lines]
        widest = opened(fed, fitting_conditions(known, fed)[0])
        core = extract_core(fed, supplying_reactions(fed), phases, opened=widest)
        phases("writing the core")
        model = core_model(curate_model(loaded.model, found), core.network)
        save_model(model, output_file)
        phases.end()
    answer: dict[str, Any] = {
        "output": str(output_file),
        "model": full.id,
        "medium": medium,
        "objective": full.objective,
        "reactions": len(core.network.reactions),
        "metabolites": len(core.network.metabolites),
        "genes": len(model.genes),
        "growth": core.growth,
        "model_growth": core.model_growth,
        "seconds": round(phases.seconds, 2),
        "dropped": {reason: getattr(core.consistency, reason) for reason in REASONS},
        "rules": [
            {"rule": rule.name, "finds": rule.description, "kept": list(rule.kept), "blocked": list(rule.blocked)}
            for rule in core.rules
        ],
        "phases": phases.table,
        "warnings": list(_warnings(core, reactions)),
        "repairs": [*full.repairs, *skipped_exchanges(full, lines)],
    }
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        report_repairs(answer["repairs"])
        _print_report(answer)


def _warnings(core: "Core", wished: int | None) -> Iterator[str]:
    size = len(core.network.reactions)
    if wished is not None and size > wished:
        found = f"the consistent core has {size:,} reactions, more than the {wished:,} desired"
        yield f"{found}: each can carry flux, and none is removed for its flux in one solution"
    for rule in core.rules:
        if blocked := rule.blocked:
            found = f"{len(blocked)} cannot carry flux on this medium and are not in the core"
            yield f"rule {rule.name}: {found}: {', '.join(blocked)}"
    if not core.has_slack:
        found = "forced fluxes leave no slack"
        yield f"{found}: a kept reaction can carry flux in its direction, but perhaps not within these bounds"


def _print_report(answer: dict[str, Any]) -> None:
    dropped, rows = answer["dropped"], []
    out().print(
        f"{answer['output']}: {answer['reactions']:,} reactions, {answer['metabolites']:,} metabolites, "
        f"{answer['genes']:,} genes in {answer['seconds']:.1f} s\n"
        f"growth {answer['growth']:.7f} 1/h on {answer['medium']} by {answer['objective']} "
        f"(full model {answer['model_growth']:.7f})\n"
        f"dropped: {dropped['closed']:,} closed, {dropped['dead_ends']:,} at dead ends, "
        f"{dropped['blocked_one_way']:,} blocked one-way, {dropped['blocked_reversible']:,} blocked reversible"
    )
    for rule in answer["rules"]:
        sizes = f"{len(rule['kept']):,}", f"{len(rule['blocked']):,}"
        rows.append((rule["rule"], *sizes, rule["finds"], shortened(rule["kept"], _SHOWN)))
    show({"rule": "left", "kept": "right", "blocked": "right", "finds": "left", "reactions": "left"}, rows)
    for warning in answer["warnings"]:
        out().print(f"warning: {warning}")


class _Phases:
    """Reports phases, and keeps the time of each."""

    def __init__(self, report: Progress) -> None:
        self._report, self._name, self.table = report, "", list[dict[str, Any]]()
        self._begin = self._since = (time.perf_counter(), time.process_time())

    def __call__(self, name: str, _done: int = 0, _total: int | None = None, /) -> None:
        self.end()
        self._name, self._since = name, (time.perf_counter(), time.process_time())
        self._report(name, len(self.table), PHASES)

    def end(self) -> None:
        """End the phase that is under way."""
        if self._name:
            wall, cpu = time.perf_counter() - self._since[0], time.process_time() - self._since[1]
            self.table.append({"phase": self._name, "seconds": round(wall, 3), "cpu_seconds": round(cpu, 3)})

    @property
    def seconds(self) -> float:
        """Wall time since the start, s."""
        return time.perf_counter() - self._begin[0]
