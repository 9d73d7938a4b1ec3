import csv
import gc
import json
import math
import weakref
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner import LearnerState, Update
from redox_balancer.impala.rollout import Episodes
from redox_balancer.runs.metrics import COLUMNS, LAGS, Window, read_rows
from redox_balancer.runs.metrics_log import MetricsLog
from redox_balancer.runs.progress import BarProgress, PlainProgress, open_progress

ZERO = np.zeros(1, dtype=np.float32)


def update(steps: int, returns: list[float], *, rho_max: float = 1.0, **figures: float) -> Update:
    count = len(returns)
    reported = {name: np.full(count, value) for name, value in figures.items()}
    episodes = Episodes(np.asarray(returns), np.full(count, 2), np.arange(count), reported)
    metrics = {
        "policy_loss": 1.0, "baseline_loss": 2.0, "entropy": float(steps), "rho_mean": 1.0, "rho_max": rho_max,
        "rho_clipped": 0.0, "grad_norm": 0.5, "explained_variance": 0.1, "learning_rate": 1 / steps,
        "entropy_cost": 0.01,
    }  # fmt: skip
    return Update(LearnerState(ZERO, ZERO, ZERO, steps // 10, steps, 3), metrics, [0, 4], [episodes])


def row_of(*updates: Update) -> dict[str, float]:
    window = Window()
    for each in updates:
        window.add(each)
    return window.row(seconds=2.0, steps_per_s=5.0)


def read(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_sums_up_its_interval() -> None:
    row = row_of(update(10, [1.0, 3.0], growth=0.2), update(20, [8.0], rho_max=2.5, growth=0.5))
    assert row["steps"] == 20
    assert row["episodes"] == 3
    assert row["return_mean"] == 4.0
    assert row["env/growth"] == pytest.approx(0.3)
    assert row["entropy"] == 15.0
    assert row["rho_max"] == 2.5
    assert (row["lag_min"], row["lag_mean"], row["lag_max"]) == (0, 2, 4)
    assert {name: row[name] for name in LAGS if row[name]} == {"lag/0": 2, "lag/4-7": 2}
    assert row["dropped"] == 3
    assert row["learning_rate"] == 1 / 20
    assert set(COLUMNS) <= set(row)
    assert math.isnan(row_of(update(10, []))["return_mean"])


def test_a_window_keeps_the_newest_state_alone() -> None:
    window, kept = Window(), []
    for steps in (10, 20, 30):
        vectors = [np.zeros(1, dtype=np.float32) for _ in range(3)]
        state = LearnerState(*vectors, updates=1, steps=steps, dropped=0)
        kept.append(weakref.ref(vectors[0]))
        window.add(update(steps, [1.0])._replace(state=state))
        del vectors, state
    gc.collect()
    assert [vector() is None for vector in kept] == [True, True, False]


def test_columns_stay_in_place_when_the_environment_reports_something_new(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    log.write(row_of(update(10, [])))
    log.write(row_of(update(20, [1.0], value=0.25)))
    log.write(row_of(update(30, [1.0], growth=0.1)))
    rows = read(log.path)
    assert list(rows[0]) == [*COLUMNS, "env/value", "env/growth"]
    assert [row["env/value"] for row in rows] == ["", "0.25", ""]
    assert [row["steps"] for row in rows] == ["10", "20", "30"]


def test_a_resumed_run_drops_the_rows_beyond_its_step_and_continues(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    for step in (10, 20, 30):
        log.write(row_of(update(step, [1.0], value=float(step))))
    with log.path.open("a") as file:
        file.write("20,7")  # a line that was cut short
    log = MetricsLog(tmp_path, 20)
    log.write(row_of(update(25, [1.0], value=0.1 + 0.2)))
    rows = read(log.path)
    assert [row["steps"] for row in rows] == ["10", "20", "25"]
    assert float(rows[-1]["env/value"]) == 0.1 + 0.2
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("return_mean")] == [10, 20, 25]


def test_a_run_that_began_before_the_lags_were_counted_goes_on_and_is_read(tmp_path: Path) -> None:
    row = row_of(update(10, [1.0]))
    old = {name: str(value) for name, value in row.items() if name not in LAGS}
    (tmp_path / "metrics.csv").write_text(f"{','.join(old)}\n{','.join(old.values())}\n")
    log = MetricsLog(tmp_path, 10)
    log.write(row_of(update(20, [1.0])))
    before, after = read_rows(log.path.read_text().splitlines())
    assert before["steps"] == 10
    assert math.isnan(before["lag/0"])
    assert (after["lag/0"], after["lag/1"], after["lag/4-7"]) == (1, 0, 1)


def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines() -> None:
    pipe, terminal = StringIO(), StringIO()
    sinks = [
        open_progress(Console(file=pipe, width=200)),
        open_progress(Console(file=terminal, width=200, force_terminal=True, highlight=False)),
    ]
    for sink in sinks:
        sink.start(0, 100)
        sink.advance(20)
        sink.row(row_of(update(20, [1.5], growth=0.08, value=0.9)))
        sink.message("saved [it]")
        sink.warning("careful")
        sink.close()
    assert isinstance(sinks[0], PlainProgress)
    assert isinstance(sinks[1], BarProgress)
    assert "20 steps   20.0 %        5 steps/s" in pipe.getvalue()
    for text in (pipe.getvalue(), terminal.getvalue()):
        for word in ("return 1.5", "growth 0.08", "value 0.9", "saved [it]", "careful", "5 steps/s"):
            assert word in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"timesteps": 0},
        {"num_actors": -1},
        {"learning_rate": 0.0},
        {"gamma": 1.5},
        {"hidden_sizes": (0,)},
        {"object_store_bytes": 5},
        {"save_interval_s": float("nan")},
    ],
)
def test_a_setting_out_of_range_is_named(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(RedoxError, match=name) as caught:
        TrainConfig(**wrong)
    assert caught.value.settings == (name,)


def test_every_setting_has_a_line_of_help_and_survives_json() -> None:
    config = TrainConfig(hidden_sizes=(3, 4))
    assert all((field.description or "").endswith(".") for field in TrainConfig.model_fields.values())
    assert TrainConfig(**json.loads(json.dumps(config.model_dump(mode="json")))) == config


def test_an_update_takes_whole_rollouts() -> None:
    config = TrainConfig(envs_per_actor=4, rollout_length=5, batch_size=21)
    assert config.rollouts_per_batch == 2
