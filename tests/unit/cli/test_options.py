"""Options that are made from the fields of `TaskSettings` and `TrainConfig`."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from annotated_types import Ge, Le
from typer.exceptions import TyperException

from redox_balancer.cli import app
from redox_balancer.cli.options import RENAMED, flag, takes_config, takes_task
from redox_balancer.design.settings import TaskSettings
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.terminal.options import run_folder


def options_of(name: str) -> dict[str, Any]:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return {parameter.name: parameter for parameter in command.params}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("task", name) for name in TaskSettings.model_fields),
        *(("config", name) for name in TrainConfig.model_fields),
    ],
)
def test_each_setting_has_an_option_with_its_default_and_limits(kind: str, name: str) -> None:
    field = {"task": TaskSettings, "config": TrainConfig}[kind].model_fields[name]
    option = options_of("train")[name]
    assert option.default == (list(field.default) if isinstance(field.default, tuple) else field.default)
    assert option.help == field.description
    for limit in field.metadata:
        if isinstance(limit, Ge | Le):
            bound = limit.ge if isinstance(limit, Ge) else limit.le
            option_name = flag(name)
            if not name.startswith("entropy_cost"):  # 0 of one needs 0 of the other
                assert getattr(run([option_name, str(bound)])[kind], name) == bound
            beyond = bound - 1 if isinstance(limit, Ge) else bound + 1
            with pytest.raises((TyperException, RedoxError)) as refused:
                run([option_name, str(beyond)])
            message = getattr(refused.value, "format_message", lambda: str(refused.value))()
            assert option_name in message or name in message


def run(arguments: list[str]) -> dict[str, Any]:
    """What a command receives that takes a task and a configuration."""
    received: dict[str, Any] = {}

    @takes_config()
    @takes_task
    def command(*, task: Task, config: TrainConfig) -> None:
        received.update(task=task, config=config)

    small = typer.Typer()
    small.command()(command)
    small(arguments, standalone_mode=False)
    return received


def test_a_command_receives_the_task_and_the_configuration_of_its_options(tmp_path: Path) -> None:
    got = run([
        *("--conditions", "healthy, hypoxia+mdh1_deficiency", "--model", str(tmp_path / "m.json")),
        *("--hidden-condition", "--budget", "0.002", "--hidden-sizes", "8", "--hidden-sizes", "4"),
    ])  # fmt: skip
    assert got["task"] == Task(
        conditions=("healthy", "hypoxia+mdh1_deficiency"),
        model=tmp_path / "m.json",
        hidden_condition=True,
        budget=0.002,
    )
    assert got["config"] == TrainConfig(hidden_sizes=(8, 4))
    assert run([]) == {"task": Task(), "config": TrainConfig()}


def test_old_names_are_accepted_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    got = run(["--untold", "--uncertain", "4", "--save-interval", "60"])
    assert got["task"] == Task(hidden_condition=True, parameter_samples=4)
    assert got["config"] == TrainConfig(save_interval_s=60.0)
    assert "--uncertain is called --parameter-samples now" in capsys.readouterr().err
    assert run(["--no-untold"])["task"] == Task()
    assert all(options_of("train")[name].hidden for name in RENAMED)


def test_the_command_of_the_first_system_is_accepted_word_for_word() -> None:
    literal = (
        "train --timesteps 10000000 --num-actors 120 --model M --enzymes E --save-interval 60 --batch-size 64 "
        "--checkpoint-dir D --resume D/step_932960"
    )
    command = typer.main.get_command(app)
    context = command.make_context("redox", literal.split())
    train = command.commands["train"]  # type: ignore[attr-defined]
    parsed = train.make_context("train", literal.split()[1:], parent=context)
    received = {name: value for name, value in parsed.params.items() if value != options_of("train")[name].default}
    assert received.pop("hidden_sizes", [128, 128]) == [128, 128]
    assert not received.pop("cells", None)
    assert json.loads(json.dumps(received, default=str)) == {
        "timesteps": 10_000_000,
        "num_actors": 120,
        "model": "M",
        "enzymes": "E",
        "save_interval": 60.0,
        "batch_size": 64,
        "checkpoint_dir": "D",
        "resume": "D/step_932960",
    }


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("iJO1366", "iJO1366"),
        ("../../escaped", "_.._escaped"),
        ("/etc/passwd", "_etc_passwd"),
        ("a\\b\x00c\nd", "a_b_c_d"),
        ("..", "model"),
        (" ..", "model"),
        (". .", "model"),
        ("", "model"),
        (" ", "model"),
        ("λ" * 300, "λ" * 100),
    ],
)
def test_the_folder_of_a_run_is_one_level_below_experiments_whatever_the_id(model: str, folder: str) -> None:
    assert run_folder(model) == Path("experiments", folder)
