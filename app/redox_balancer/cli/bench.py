"""`redox bench`: speed and memory on this machine, side by side with the plain COBRApy way."""

import json
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.options import writable_file
from redox_balancer.design.settings import Observed
from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically
from redox_balancer.impala.config import TrainConfig
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.tables import notes, out, show

if TYPE_CHECKING:
    from redox_balancer.bench.report import BenchmarkResults

EXAMPLE = """\
Example: redox bench step memory --model core.json --json

Throughput of 30 to 480 actors, and its limits: redox bench throughput"""

PLACEMENTS = 3
SHORT = {
    "steps": 100_000, "slice_s": 5.0, "memory_steps": 100_000, "learner_s": 5.0, "train_steps": 150_000,
    "actor_s": 12.0, "ray_s": 4.0, "replay_steps": 200_000,
}  # fmt: skip
FULL = {
    "steps": 100_000, "slice_s": 20.0, "memory_steps": 1_000_000, "learner_s": 20.0, "train_steps": 1_000_000,
    "actor_s": 60.0, "ray_s": 20.0, "replay_steps": 2_000_000,
}  # fmt: skip


class Part(StrEnum):
    """Parts of the benchmark."""

    CORE = "core"
    STEP = "step"
    MEMORY = "memory"
    LEARNER = "learner"
    TRAIN = "train"
    THROUGHPUT = "throughput"


def bench(
    parts: Annotated[list[Part] | None, typer.Argument(help="Parts to measure; all by default.")] = None,
    *,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A model to measure besides the embedded core.")
    ] = None,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="A model whose core is extracted and measured (Recon3D)."),
    ] = None,
    observation: Annotated[
        Observed,
        typer.Option(help="flat: with the settings of a long training; candidates: with the defaults of a training."),
    ] = "flat",
    full: Annotated[bool, typer.Option("--full", help="Measure longer, for about 20 minutes.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the results as a Markdown page.", callback=writable_file),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure speed and memory: steps, an actor's memory, the learner, a whole training, the extraction of a core.

    Steps are compared with the method of the predecessor of this project, COBRApy's `optimize()` and a sum over
    `solution.fluxes`, in one process. On an idle machine it takes less than 8 minutes.

    throughput measures the time of each part of a training, and learner and Ray with actors that only replay recorded
    rollouts; a model then predicts the throughput of many actors on hosts of 192 vCPU, and its limit.
    """
    from redox_balancer.bench import report  # noqa: PLC0415 - loads COBRApy

    if input_file is not None and model is not None:
        raise RedoxError(
            "--input and --model exclude each other", hint="--input extracts the core that --model would name"
        )
    chosen = parts or [part for part in Part if part is not Part.CORE or input_file is not None]
    if Part.CORE in chosen and input_file is None:
        raise RedoxError(
            "the part core needs a model to extract the core from", hint="redox bench core --input Recon3D.json.gz"
        )
    with tempfile.TemporaryDirectory(prefix="redox-bench-") as folder:
        core = Path(folder) / "core.json"
        seconds = None if input_file is None else _extract(input_file, core)
        models = [None, core if input_file is not None else model]
        figures = _measure(chosen, models, observation, FULL if full else SHORT)
    if Part.CORE in chosen:
        figures.core_seconds = seconds
    if output is not None:
        write_atomically(output, report.page(figures, shlex.join(["redox", *sys.argv[1:]])).encode())
    if as_json:
        typer.echo(json.dumps(figures.as_dict()))
        return
    show({"what": "left", "model": "left", "measured": "right"}, figures.rows())
    if figures.throughput:
        show(dict.fromkeys(report.SCALING, "left"), figures.scaling_rows())
        show(dict.fromkeys(report.FULL, "left"), figures.full_rows())
    out().print(", ".join(f"{name} {what}" for name, what in figures.about.items() if name != "packages"))


def _extract(source: Path, target: Path) -> float:
    """Extract a core with the command line; the seconds it took."""
    from redox_balancer.bench.machine import redox  # noqa: PLC0415 - loads psutil

    notes().print(f"extracting the core of {source}")
    started = time.perf_counter()
    redox("build-core", "--input", source, "--output", target)
    return time.perf_counter() - started


def _measure(
    parts: Sequence[Part], models: Sequence[Path | None], observation: Observed, sizes: dict[str, float]
) -> "BenchmarkResults":
    """Measure these parts on each model; None is the embedded core, once."""
    from redox_balancer.bench import learning, stepping, throughput  # noqa: PLC0415 - loads COBRApy
    from redox_balancer.bench.machine import about, in_own_process  # noqa: PLC0415
    from redox_balancer.bench.report import BenchmarkResults  # noqa: PLC0415
    from redox_balancer.design.task import Task  # noqa: PLC0415

    results = BenchmarkResults(about())
    changed = learning.LONG_RUN if observation == "flat" else {}
    config = TrainConfig().changed(**changed)
    options = ["--placements", str(PLACEMENTS), "--sampling", "range", "--observation", observation]
    options += [word for name, value in changed.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    # All models first: a file that is not a model should fail now, not after minutes.
    task = Task(placements=PLACEMENTS, sampling="range", observation=observation)
    every = [(model, task.model_copy(update={"model": model}).environments()) for model in dict.fromkeys(models)]
    # The energies of the package are those of the core.
    held = task.model_copy(update={"held_ratios": ("c", "m")}).environments() if Part.STEP in parts else None
    for model, environments in every:
        name = environments.space.network.id
        for part in parts:
            if part is Part.CORE:
                continue
            notes().print(f"{part.value} on {name}")
            found: Any
            if part is Part.STEP:
                ratios = held if model is None else None
                given = environments, config, int(sizes["steps"]), sizes["slice_s"], ratios
                found = in_own_process(stepping.measure, *given)
            elif part is Part.MEMORY:
                found = in_own_process(learning.memory, environments, config, int(sizes["memory_steps"]))
            elif part is Part.LEARNER:
                found = in_own_process(learning.learner, environments, config, sizes["learner_s"])
            elif part is Part.TRAIN:
                found = learning.train(model, name, int(sizes["train_steps"]), options)
            else:
                found = throughput.measure(
                    environments,
                    config,
                    actor_s=sizes["actor_s"],
                    learner_s=sizes["learner_s"],
                    ray_s=sizes["ray_s"],
                    steps=int(sizes["replay_steps"]),
                    progress=lambda what, *_: notes().print(f"  {what}"),
                )
            getattr(results, part.value).append(found)
    return results
