"""`redox search`: searches for constructs without learning."""

import json
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.options import report_repairs, takes_task
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import construct_text, notes, number, out, show

if TYPE_CHECKING:
    from redox_balancer.design.construct import Construct
    from redox_balancer.design.evaluator import Evaluator, Outcome
    from redox_balancer.design.space import DesignSpace
    from redox_balancer.design.task import Task
    from redox_balancer.search.run import SearchName

app = typer.Typer(help="Search for constructs without learning.", no_args_is_help=True)

Evaluations = Annotated[
    int | None,
    typer.Option(min=1, help="Constructs to evaluate under each condition.", show_default="1000, unless --seconds"),
]
Seconds = Annotated[float | None, typer.Option(help="Time limit under each condition, in seconds.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the draws.")]


@app.callback()
def searches() -> None:
    """Search for constructs without learning."""


@app.command("random", epilog="Example: redox search random --placements 3 --evaluations 5000 --conditions hypoxia")
@takes_task
def random_(
    *, task: "Task", evaluations: Evaluations = None, seconds: Seconds = None, seed: Seed = 0, as_json: AsJson = False
) -> None:
    """Evaluate random constructs within the budgets and show the best."""
    _run(task, "random", as_json=as_json, seed=seed, evaluations=evaluations, seconds=seconds)


@app.command(epilog="Example: redox search greedy --placements 3 --conditions hypoxia+mdh1_deficiency")
@takes_task
def greedy(*, task: "Task", as_json: AsJson = False) -> None:
    """Repeatedly add the placement that raises the value most."""
    _run(task, "greedy", as_json=as_json)


@app.command(epilog="Example: redox search evolutionary --placements 3 --evaluations 2000 --seed 1")
@takes_task
def evolutionary(
    *, task: "Task", evaluations: Evaluations = None, seconds: Seconds = None, seed: Seed = 0, as_json: AsJson = False
) -> None:
    """Evolve constructs with CatCMA, an evolution strategy for categories and integers."""
    _run(task, "evolutionary", as_json=as_json, seed=seed, evaluations=evaluations, seconds=seconds)


@app.command(epilog="Example: redox search local --placements 3 --reward guaranteed --seconds 0.2")
@takes_task
def local(
    *, task: "Task", evaluations: Evaluations = None, seconds: Seconds = None, seed: Seed = 0, as_json: AsJson = False
) -> None:
    """Improve constructs by single changes, from several starts, as redox design does without a policy."""
    _run(task, "local", as_json=as_json, seed=seed, evaluations=evaluations, seconds=seconds)


@app.command(
    epilog="Example: redox search milp --placements 3 --conditions complex_iii_closed,hypoxia+mdh1_deficiency"
)
@takes_task
def milp(
    *,
    task: "Task",
    time_limit_s: Annotated[
        float, typer.Option(help="Time limit under each condition, in seconds; the bound then shows the gap.")
    ] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Find the best construct, with a proof of optimality, by a mixed-integer linear program (HiGHS)."""
    _run(task, "milp", as_json=as_json, time_limit_s=time_limit_s)


@app.command(epilog="Example: redox search exhaustive --placements 2 --conditions healthy,hypoxia --top 3")
@takes_task
def exhaustive(
    *,
    task: "Task",
    top: Annotated[int, typer.Option(min=1, help="Number of best constructs to show.")] = 5,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = os.cpu_count() or 1,
    as_json: AsJson = False,
) -> None:
    """Evaluate every construct within the budgets and show the best under each condition."""
    from redox_balancer.design.evaluator import Evaluator  # noqa: PLC0415
    from redox_balancer.search import exhaustive as search  # noqa: PLC0415

    space = task.space()
    report_repairs(space.network.repairs)
    console = notes()
    found = search.exhaustive(
        space,
        task.placements,
        keep=top,
        processes=processes,
        progress=lambda y: console.print(f"{y.condition}: {y.constructs:,} constructs, {y.solves:,} LPs"),
    )
    if as_json:
        answer = {
            name: {
                **{what: getattr(reference, what) for what in ("constructs", "mean", "solves", "seconds")},
                "best": [_outcome_data(space, ranked.construct, ranked.outcome) for ranked in reference.best],
            }
            for name, reference in found.items()
        }
        typer.echo(json.dumps(answer))
        return
    rows = [
        ("" if rank else name, *_outcome_cells(space, ranked.construct, ranked.outcome))
        for name, reference in found.items()
        for rank, ranked in enumerate(reference.best)
    ]
    show(OUTCOME_COLUMNS, rows)
    if space.references:
        with Evaluator(space) as evaluator:
            out().print(_lines(evaluator), end="")


OUTCOME_COLUMNS = {"condition": "left", "value": "right", "growth": "right", "capacity": "right", "construct": "left"}
COST_COLUMNS = {"constructs": "right", "LPs": "right", "iterations": "right", "seconds": "right", "bound": "right"}


def _run(
    task: "Task",
    name: "SearchName",
    *,
    as_json: bool,
    evaluations: int | None = None,
    seconds: float | None = None,
    **options: Any,
) -> None:
    """Search under each condition of a task; show the best construct and the cost of finding it."""
    from redox_balancer.design.evaluator import Evaluator  # noqa: PLC0415
    from redox_balancer.search.problem import Problem, require_limits  # noqa: PLC0415
    from redox_balancer.search.run import limited, run_search  # noqa: PLC0415

    require_limits(seconds=seconds, time_limit_s=options.get("time_limit_s"))
    space = task.space()
    report_repairs(space.network.repairs)
    answers: dict[str, dict[str, Any]] = {}
    rows = []
    with Evaluator(space) as evaluator, notes().status("searching") as status:
        lines, progress = _lines(evaluator), status_progress(status)
        for done, condition in enumerate(space.conditions):
            progress(f"searching: {condition.id}", done, len(space.conditions))
            problem = Problem.under(evaluator, condition, task.placements)
            found = run_search(limited(problem, name, evaluations=evaluations, seconds=seconds), name, **options)
            outcome = evaluator.evaluate(found.construct, condition)
            costs = {
                name: getattr(found, name) for name in ("evaluations", "solves", "iterations", "seconds", "bound")
            }
            answers[condition.id] = _outcome_data(space, found.construct, outcome) | costs
            cost = (f"{count:,}" for count in (found.evaluations, found.solves, found.iterations))
            cells = _outcome_cells(space, found.construct, outcome)
            rows.append((condition.id, *cells, *cost, f"{found.seconds:.3f}", number(found.bound)))
    if as_json:
        typer.echo(json.dumps(answers))
        return
    show(OUTCOME_COLUMNS | COST_COLUMNS, rows)
    out().print(lines, end="")


def _lines(evaluator: "Evaluator") -> str:
    """What is to be said of the growth of each cell line."""
    from redox_balancer.design.growth_limits import growth_of_line  # noqa: PLC0415

    network, lines = evaluator.space.network, evaluator.space.references
    return "".join(f"{growth_of_line(network, line, evaluator.reference(line).growth)}\n" for line in lines)


def _outcome_data(space: "DesignSpace", construct: "Construct", outcome: "Outcome") -> dict[str, Any]:
    values = {name: getattr(outcome, name) for name in ("value", "growth", "capacity")}
    return values | {"construct": space.describe(construct)}


def _outcome_cells(space: "DesignSpace", construct: "Construct", outcome: "Outcome") -> tuple[str, ...]:
    text = construct_text(space.describe(construct))
    # The reward `rescue` does not count it.
    capacity = "-" if space.settings.reward in ("rescue", "ratio") else f"{outcome.capacity:.4f}"
    return f"{outcome.value:.4f}", f"{outcome.growth:.5f}", capacity, text
