"""`redox model functions`: which metabolic functions a model performs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cell.repairs import shortened
from redox_balancer.cli.options import AsPublished, Curation, report_repairs
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import notes, out, show

if TYPE_CHECKING:
    from redox_balancer.cell.functions import FunctionTest

FunctionList = Annotated[
    Path | None,
    typer.Option(
        metavar="LIST", help="Table as Human-GEM and RAVEN publish metabolic tasks; the package's own by default."
    ),
]


def show_functions(
    file: Annotated[Path, typer.Argument(help="JSON, SBML, MAT or YAML, also compressed.")],
    *,
    functions: FunctionList = None,
    as_published: AsPublished = False,
    curation: Curation = None,
    as_json: AsJson = False,
) -> None:
    """Test which metabolic functions a model performs: make nucleotides, burn fatty acids, fix ATP with oxygen, ...

    Everything else is closed: only what a function names enters and leaves. Recon3D takes about ten seconds.
    """
    from redox_balancer.cell.function_list import read_functions  # noqa: PLC0415
    from redox_balancer.cell.functions import display_names, perform  # noqa: PLC0415 - the solver
    from redox_balancer.cell.models import load_model  # noqa: PLC0415

    listed = read_functions(functions)
    with notes().status("reading the model") as status:
        loaded = load_model(file)
        network = loaded.curated(as_published=as_published, curation=curation).network
        outcomes = perform(network, listed, display_names(loaded.model, network), status_progress(status))
    report_repairs(network.repairs)
    if as_json:
        typer.echo(json.dumps({"model": network.id, **answer_of(outcomes)}))
        return
    if rows := [(o.function.name, o.function.group, _verdict(o)) for o in outcomes if not o.passed]:
        show({"function": "left", "group": "left", "result": "left"}, rows)
    lacking = sum(o.share is None for o in outcomes)
    more = f"; {lacking} name what it lacks" if lacking else ""
    passed = sum(o.passed for o in outcomes)
    out().print(f"{network.id} passes {passed} of {len(outcomes)} functions{more}")


def answer_of(outcomes: "list[FunctionTest]") -> dict[str, Any]:
    """The outcomes of functions as JSON."""
    return {
        "passed": sum(outcome.passed for outcome in outcomes),
        "functions": [
            {
                "name": outcome.function.name,
                "group": outcome.function.group,
                "passed": outcome.passed,
                "share": outcome.share,
                "missing": list(outcome.missing),
                "source": outcome.function.source,
            }
            for outcome in outcomes
        ],
    }


def _verdict(outcome: "FunctionTest") -> str:
    if outcome.share is None:
        return f"not in the model: {shortened(list(outcome.missing))}"
    if outcome.function.should_fail:
        return "performed, but no sound model can"
    return f"{outcome.share:.0%} of what it needs" if outcome.share > 1e-6 else "not performed"
