"""`redox advise`: how many actors a training needs, and on which host it is cheapest."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.options import given, takes_config, takes_task
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.resources import require_address_space
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import phase_progress
from redox_balancer.terminal.tables import age_text, out, show

if TYPE_CHECKING:
    from redox_balancer.bench.advice import MeasuredTerms, TrainingSize
    from redox_balancer.design.task import Task

EXAMPLE = """\
Example: redox advise --timesteps 50000000 --within 2 --json

The same for other hosts, without measuring again: redox advise --terms advice.json --host c7i.4xlarge --actors 8"""

HEADINGS = {"host": "left", "actors": "right", "steps/s": "right", "time": "right", "USD": "right", "limit": "left"}
LIMITS = {
    "actors": "actors: more are faster",
    "cores": "actors: every hyperthread has one",
    "memory": "actors: the memory is full",
    "max_actors": "actors: more need --max-actors",
    "learner": "learner: full with {useful}",
    "ray": "Ray: full with {useful}",
    "network": "network: full with {useful}",
}


MEASURED = ("passes", "envs_per_actor", "rollout_length", "batch_size")
"""Settings of a training that its terms depend on."""


@takes_config("timesteps", "max_actors", *MEASURED)
@takes_task
def advise(
    *,
    task: "Task",
    config: TrainConfig,
    host: Annotated[
        list[str] | None, typer.Option(help="A host, by its EC2 instance type; may be repeated. All by default.")
    ] = None,
    workers: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Further machines like the host that join it; may be repeated. 0 by default."),
    ] = None,
    actors: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Actor processes; may be repeated. By default as many as are of use."),
    ] = None,
    learner_cells: Annotated[
        int, typer.Option("--cells", min=1, help="Learners with a share of the actors each.")
    ] = 1,
    within: Annotated[float, typer.Option(metavar="HOURS", min=0, help="Time in which it has to end.")] = math.inf,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for which the terms are measured, in all.")] = 12.0,
    terms: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Terms from the JSON of redox advise or redox bench throughput instead."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Advise on the size of a training: steps/s, time and cost for hosts and actors, and the cheapest in time.

    The costs of its parts on the task are measured on this machine, in one to two minutes. All figures for hosts are
    predictions from them. Once the learners are full, more actors give nothing.
    """
    from redox_balancer.bench import advice  # noqa: PLC0415 - loads the model of the throughput

    hosts = advice.pick_hosts(host or ())
    if math.isnan(within):
        raise RedoxError("the time in which it has to end is no number", hint="give hours", settings=("within",))
    measured = _measured(task, config, seconds) if terms is None else _chosen(advice.read_terms(terms), task, config)
    found = advice.sizes(
        measured.terms,
        hosts,
        timesteps=config.timesteps,
        machines=[1 + count for count in workers or (0,)],
        actors=actors or (),
        cells=learner_cells,
        max_actors=config.max_actors,
    )
    if not found:
        raise RedoxError(
            "so many actors fit on none of the hosts" if actors else "no host has room for an actor",
            hint=f"an actor takes {measured.terms.actor_bytes / 1e6:.0f} MB and a hyperthread; at most "
            f"{config.max_actors} are allowed",
            settings=("actors", "host", "workers", "learner_cells", "max_actors"),
        )
    best = advice.cheapest(found, within)
    if as_json:
        typer.echo(json.dumps(_data(measured, found, best, config, within)))
    else:
        _show(measured, found, best, config)
    if best is None:
        fastest = min(found, key=lambda size: size.hours)
        raise RedoxError(
            f"no size ends within {within:g} h: the fastest, {_name(fastest)}, takes {fastest.hours:.3g} h",
            hint="allow more time or take fewer steps",
            settings=("within", "timesteps"),
        )


def _measured(task: "Task", config: TrainConfig, seconds: float) -> "MeasuredTerms":
    from redox_balancer.bench import throughput  # noqa: PLC0415 - loads COBRApy
    from redox_balancer.bench.advice import MeasuredTerms  # noqa: PLC0415
    from redox_balancer.bench.machine import about  # noqa: PLC0415 - loads psutil

    require_address_space("a training with actors")
    machine = {
        **about(),
        "task": task.model_dump(mode="json", include=set(given(task))),
        **{name: getattr(config, name) for name in MEASURED},
        "seconds": seconds,
    }
    environments = task.environments()
    with phase_progress(f"measuring on {environments.space.network.id}") as progress:
        found = throughput.measure(
            environments,
            config,
            actor_s=0.5 * seconds,
            learner_s=0.2 * seconds,
            ray_s=0.1 * seconds,
            steps=10_000 + int(1_000 * seconds),
            progress=progress,
        )
    return MeasuredTerms(model=found.model, terms=found.terms, about=machine)


def _chosen(found: "list[MeasuredTerms]", task: "Task", config: TrainConfig) -> "MeasuredTerms":
    """Return the terms of the task's model."""
    other = {name for name in MEASURED if getattr(config, name) != getattr(TrainConfig(), name)}
    if contradicting := (given(task).keys() - {"model"}) | other:
        raise RedoxError(
            "recorded terms are those of the task they were measured on",
            hint="measure this one, or leave its options out",
            settings=("terms", min(contradicting)),
        )
    if len(found) == 1 and task.model is None:
        return found[0]
    name = task.network().id
    for each in found:
        if each.model == name:
            return each
    raise RedoxError(
        f"the recorded terms are of {', '.join(each.model for each in found)}, not of {name}",
        hint="measure those of this model",
        settings=("terms", "model"),
    )


def _data(
    measured: "MeasuredTerms",
    found: "list[TrainingSize]",
    best: "TrainingSize | None",
    config: TrainConfig,
    within: float,
) -> dict[str, Any]:
    from redox_balancer.bench import advice  # noqa: PLC0415
    from redox_balancer.bench.scaling import HostModel  # noqa: PLC0415

    learner, known, host = measured.learner, advice.rented_hosts(), HostModel()
    return {
        **asdict(measured),
        "assumed": {
            "threads_per_core": host.threads_per_core,
            "pair_yield": host.pair_yield,
            "reserved_gib": advice.RESERVED_GIB,
        },
        "timesteps": config.timesteps,
        "within_hours": within if math.isfinite(within) else None,
        "learner": {"filled_by": learner.actors, "steps_per_s": learner.steps_per_s, "limit": learner.limit},
        "predicted": [asdict(size) for size in found],
        "cheapest": best and asdict(best),
        "prices": [known[name].model_dump(mode="json") for name in dict.fromkeys(size.host for size in found)],
    }


def _show(
    measured: "MeasuredTerms", found: "list[TrainingSize]", best: "TrainingSize | None", config: TrainConfig
) -> None:
    from redox_balancer.bench import advice  # noqa: PLC0415
    from redox_balancer.bench.scaling import HostModel  # noqa: PLC0415

    terms, learner, about = measured.terms, measured.learner, measured.about
    show(
        HEADINGS,
        [
            (
                _name(size),
                f"{size.actors:,}",
                f"{size.steps_per_s:,.0f}",
                age_text(size.hours * advice.HOUR_S),
                _usd(size.usd),
                LIMITS[size.limit].format(useful=size.useful),
            )
            for size in found
        ],
    )
    if best is not None:
        cells = f" in {best.cells} cells" if best.cells > 1 else ""
        out().print(
            f"\ncheapest: {_name(best)} with {best.actors} actors{cells}, {config.timesteps:,} steps in "
            f"{age_text(best.hours * advice.HOUR_S)} for {_usd(best.usd)} USD"
        )
    out().print(
        f"one actor more than {learner.actors:,} gives nothing in a cell, on any host: its learner is full at "
        f"{learner.steps_per_s:,.0f} steps/s; --cells predicts several"
    )
    newest = max(each.read for each in advice.rented_hosts().values())
    out().print(
        f"measured on {measured.model} ({about.get('processor')}, {about.get('cores')} cores, load "
        f"{about.get('load_before')}): step of an actor {1e6 * terms.step_s:,.0f} µs, learner "
        f"{1e6 * terms.learner_s:.1f} µs a step, loop {1e6 * terms.loop_s:,.0f} µs a rollout, actor "
        f"{terms.actor_bytes / 1e6:.0f} MB\n"
        "predicted from that, all above; assumed: cores as fast as these, two hyperthreads do "
        f"{HostModel().pair_yield} times the work of one, {advice.RESERVED_GIB:g} GiB of a host for all but actors, "
        "caches as full as they were, no time to start\n"
        f"prices: on demand, Linux, us-east-1, {newest}, without disks"
    )


def _name(size: "TrainingSize") -> str:
    return size.host if size.machines == 1 else f"{size.machines} x {size.host}"


def _usd(usd: float) -> str:
    return f"{usd:,.2f}" if usd >= 1 else f"{usd:.2g}"
