"""`make restore-drill`: a run restored into an empty folder here, with the time that it took."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.options import RunName
from ops.session import Answer, Session
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.terminal.checkpoints import pull_checkpoint, read_list

EXAMPLE = "Example: python -m ops restore-drill --run production --json"

TRAIN_STEPS = 512  # one update of a run with the usual settings, more than one of most
TRAIN_TIMEOUT_S = 900.0
# What a training here takes for itself, whatever the run had.
OWN = {"remote": "", "num_actors": 0, "learner_threads": 1, "ray_address": "", "learner_resource": ""}


def restore_drill(
    session: Session,
    *,
    run: RunName = None,
    to: Annotated[Path | None, typer.Option(help="Empty folder; one that is removed again if not given.")] = None,
    train_steps: Annotated[
        int, typer.Option(help="Environment steps to train on for; 0 only loads the checkpoint.", min=0)
    ] = TRAIN_STEPS,
) -> Answer:
    """Restore a run from the bucket into an empty folder here: fetch, verify, load, and train on a little.

    Says how many seconds each took and at which step the training resumed. Touches neither the host nor the bucket.
    """
    name = session.run_or_default(run)
    url = session.run_url(name)
    if session.dry_run:
        whole = [row for row in read_list(url, verify=False) if row.state != "unfinished"]
        if not whole:
            raise RedoxError(f"there is no checkpoint in {url}", hint="python -m ops checkpoints shows what there is")
        session.change(
            f"fetch step {whole[0].step:,}, {whole[0].bytes:,} bytes, and train on for {train_steps:,} steps"
        )
        return Answer({"step": whole[0].step})
    with ExitStack() as stack:
        folder = to or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redox-drill-")))
        if folder.exists() and any(folder.iterdir()):
            raise RedoxError(f"{folder} is not empty", hint="a drill that finds something there proves nothing")
        data = _drill(session, url, folder, train_steps)
    return Answer(data, f"{name}: {_text(data)}")


def _text(data: Mapping[str, Any]) -> str:
    parts = [
        f"step {data['step']:,} fetched and verified in {data['fetch_s']:.1f} s, loaded in {data['load_s']:.1f} s"
    ]
    if data["resumed_at"] is not None:
        parts.append(
            f"resumed at step {data['resumed_at']:,} and at {data['trained_to']:,} after {data['train_s']:.1f} s"
        )
    return ", ".join([*parts, f"{data['seconds']:.1f} s together"])


def _drill(session: Session, url: str, folder: Path, train_steps: int) -> dict[str, Any]:
    from redox_balancer.runs import checkpoint  # noqa: PLC0415 - loads NumPy

    began = time.monotonic()
    pulled = pull_checkpoint(url, folder, None)
    fetched = time.monotonic()
    # What the trainer does with `--resume auto`.
    found = checkpoint.find(folder)
    loaded = time.monotonic()
    if found.checkpoint.step != pulled.step:
        raise RedoxError(f"a training would resume at step {found.checkpoint.step:,}, not at {pulled.step:,}")
    data: dict[str, Any] = {
        "step": pulled.step,
        "damaged": dict(pulled.damaged),
        "bytes": sum(file.stat().st_size for file in pulled.path.iterdir()),
        "fetch_s": fetched - began,
        "load_s": loaded - fetched,
        "resumed_at": None,
        "trained_to": None,
        "train_s": None,
    }
    if train_steps:
        data |= _train_on(session, folder, pulled.step, train_steps)
        data["train_s"] = time.monotonic() - loaded
    return {**data, "seconds": time.monotonic() - began}


def _train_on(session: Session, folder: Path, step: int, steps: int) -> dict[str, Any]:
    """Let the trainer itself resume, by the command line that the host uses, without actors."""
    try:
        config = json.loads((folder / "config.json").read_text())
        task, settings = config["task"], config["settings"]
    except (OSError, ValueError, KeyError) as error:
        raise RedoxError(
            f"the run's config.json cannot be used: {error}", hint="--train-steps 0 only loads"
        ) from error
    if task.get("model") and not Path(task["model"]).exists():
        session.say(f"{task['model']} is not on this machine: the checkpoint is loaded, and nothing is trained")
        return {}
    known = {name: value for name, value in settings.items() if name in {each.name for each in fields(TrainConfig)}}
    options = [*_options(task), *_options({**known, **OWN, "timesteps": step + steps}), "--json"]
    command = [sys.executable, "-m", "redox_balancer", "train", "--checkpoint-dir", str(folder), "--resume", "auto"]
    session.say(f"training on from step {step:,}")
    answer = subprocess.run(  # noqa: S603 - our own command
        [*command, *options], capture_output=True, text=True, timeout=TRAIN_TIMEOUT_S, check=False
    )
    said = answer.stderr.strip()
    resumed = re.search(r"^resuming .* at step ([\d,]+) of", said, flags=re.MULTILINE)
    if answer.returncode or resumed is None:
        last = " | ".join(said.splitlines()[-3:])
        raise RedoxError(f"the training does not resume: {last}", hint="--train-steps 0 tells whether it loads")
    return {"resumed_at": int(resumed[1].replace(",", "")), "trained_to": json.loads(answer.stdout)["steps"]}


def _options(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield settings as options of `redox train`."""
    for name, value in settings.items():
        if value is None:
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            yield option if value else option.replace("--", "--no-", 1)
        elif name == "conditions":  # one option for all of them
            yield from (option, ",".join(value))
        elif isinstance(value, list):
            for each in value:
                yield from (option, str(each))
        else:
            yield from (option, str(value))
