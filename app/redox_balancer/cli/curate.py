"""`redox model curate`: close the fewest steps of a model so that nothing is free."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.core import DEFAULT_BIOMASS
from redox_balancer.cli.functions import FunctionList
from redox_balancer.cli.options import Biomass, Medium, report_repairs, writable_file
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import phase_progress
from redox_balancer.terminal.tables import out, show

if TYPE_CHECKING:
    from redox_balancer.search.curate import CurationProposal

EXAMPLE = "Example: redox model curate Recon3D.json.gz --output curated.json.gz --medium human_minimal"
_SHOWN = 30


def curate(
    file: Annotated[Path, typer.Argument(help="JSON, SBML, MAT or YAML, also compressed; read as published.")],
    *,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Curated model; its suffix determines the format. Its curation and a log are written beside it.",
            callback=writable_file,
        ),
    ],
    medium: Medium = "model",
    biomass: Biomass = None,
    functions: FunctionList = None,
    as_json: AsJson = False,
) -> None:
    """Find what a model gets for free, and close the fewest and most suspicious steps so that it gets nothing.

    Free are the oxidation or reduction of NAD(P)H and quinols without a respiratory chain, NADPH from NADH, ATP and a
    proton gradient. 99 % of growth on the medium is kept, and every function that the model performs, as far as they
    do not rest on what is free. Reactions that do not balance are closed, or capped where they are needed. The choice
    is a proposal: each entry of the curation file has the cycle that it breaks. Recon3D takes some minutes.
    """
    from redox_balancer.cell.curation import Curation, curate_model  # noqa: PLC0415 - the solvers
    from redox_balancer.cell.function_list import read_functions  # noqa: PLC0415
    from redox_balancer.cell.functions import display_names  # noqa: PLC0415
    from redox_balancer.cell.media import apply_medium, get_medium  # noqa: PLC0415
    from redox_balancer.cell.models import format_to_write, load_model, save_model  # noqa: PLC0415
    from redox_balancer.search.curate import propose  # noqa: PLC0415
    from redox_balancer.search.curation_files import write_curation, write_log  # noqa: PLC0415

    format_to_write(output)
    get_medium(medium)  # an unknown one is refused before the model is read
    listed = read_functions(functions)
    begin = time.perf_counter()
    with phase_progress("reading the model") as progress:
        loaded = load_model(file)
        if biomass is None and DEFAULT_BIOMASS in loaded.model.reactions:
            biomass = DEFAULT_BIOMASS
        network = loaded.curated(biomass, as_published=True).network
        proposal = propose(
            network,
            apply_medium(network, medium),
            listed,
            names=display_names(loaded.model, network),
            with_gene={reaction.id for reaction in loaded.model.reactions if reaction.genes},
            progress=progress,
        )
        written: dict[str, str] = {}
        if proposal.closings or proposal.unbalanced:
            progress("writing")
            stem = Path(output.name.removesuffix(".gz")).stem
            curation, log = output.with_name(f"{stem}.toml"), output.with_name(f"{stem}.md")
            write_curation(network, proposal, curation)
            write_log(network, proposal, log)
            save_model(curate_model(loaded.model, Curation.read(curation).apply(network)), output)
            written = {"output": str(output), "curation": str(curation), "log": str(log)}
    answer = {"model": network.id, "medium": medium, **written, **answer_of(proposal)}
    answer["seconds"] = round(time.perf_counter() - begin, 2)
    report_repairs(network.repairs)
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        _print(answer)


def answer_of(proposal: "CurationProposal") -> dict[str, Any]:
    """A proposal as JSON."""
    return {
        "growth": proposal.growth,
        "growth_after": proposal.growth_after,
        "probes": {
            str(probe): {"before": value, "after": proposal.after[probe]} for probe, value in proposal.before.items()
        },
        "closings": [
            {
                "step": str(closing.step),
                "price": closing.suspicion.price,
                "why": closing.suspicion.why,
                "free": str(closing.cycle.probe),
                "cycle": {str(step): flux for step, flux in closing.cycle.steps.items()},
            }
            for closing in proposal.closings
        ],
        "price": proposal.price,
        "unbalanced": dict(proposal.unbalanced),
        "cycles": len(proposal.cycles),
        "functions_kept": list(proposal.functions),
        "functions_lost": list(proposal.lost),
        "functions_not_performed": list(proposal.not_performed),
        "rounds": proposal.rounds,
    }


def _print(answer: dict[str, Any]) -> None:
    free = [name for name, value in answer["probes"].items() if value["before"]]
    out().print(f"{len(free)} of {len(answer['probes'])} probes run: {', '.join(free) or 'nothing is free'}")
    if "output" not in answer:
        out().print(
            "every reaction balances, is closed or capped: there is nothing to change, and no file is written"
        )
        return
    if closings := answer["closings"]:
        rows = [(c["step"], c["why"], f"{len(c['cycle'])}", c["free"]) for c in closings[:_SHOWN]]
        left = dict.fromkeys(("closed", "why this step"), "left")
        show(left | {"steps of the cycle": "right", "which gives for free": "left"}, rows)
        if len(closings) > _SHOWN:
            out().print(f"and {len(closings) - _SHOWN} more in {answer['log']}")
    capped = sum(cap is not None for cap in answer["unbalanced"].values())
    out().print(
        f"{len(answer['unbalanced']) - capped} reactions that do not balance are closed, {capped} capped\n"
        f"growth {answer['growth_after']:.7g} 1/h on {answer['medium']} (was {answer['growth']:.7g}), "
        f"{len(answer['functions_kept'])} functions kept, {len(answer['functions_lost'])} lost; nothing is free\n"
        f"steps closed at the lowest price, {answer['price']}: {len(closings)}, in {answer['seconds']:.0f} s; "
        f"{answer['output']}, {answer['curation']}, {answer['log']}"
    )
