"""`redox advise` on the embedded core: measured for a moment, and again from the terms that it recorded."""

import json
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from commands import assert_refused, redox, redox_json, succeeded
from redox_balancer.bench import throughput
from redox_balancer.bench.throughput import ThroughputBenchmark
from redox_balancer.design.task import Task


class Advice(NamedTuple):
    """What `redox advise` wrote, and the whole measurement behind it."""

    file: Path
    benchmark: ThroughputBenchmark


@pytest.fixture(scope="module")
def advice(tmp_path_factory: pytest.TempPathFactory) -> Advice:
    measure, found = throughput.measure, list[ThroughputBenchmark]()
    with mock.patch.object(throughput, "measure", lambda *a, **b: found.append(measure(*a, **b)) or found[-1]):
        answer = succeeded(
            "advise", "--seconds", "0.5", "--timesteps", "1000000", "--observation", "flat", "--passes", 1, "--json"
        )
    assert "one actor" in answer.stderr  # progress
    file = tmp_path_factory.mktemp("advice") / "advice.json"
    file.write_text(answer.stdout)
    return Advice(file, found[0])


@pytest.fixture
def recorded(advice: Advice) -> Path:
    return advice.file


def test_terms_of_the_task_are_measured_and_give_speed_time_and_cost(recorded: Path) -> None:
    found = json.loads(recorded.read_text())
    assert found["model"] == "human_redox_core"
    assert found["about"]["task"] == {"observation": "flat"}
    assert found["about"]["passes"] == 1
    assert all(term > 0 for term in found["terms"].values())
    assert found["assumed"]["pair_yield"] == 1.25
    prices = {each["id"]: each["per_hour_usd"] for each in found["prices"]}
    for size in found["predicted"]:
        assert size["hours"] == pytest.approx(1_000_000 / size["steps_per_s"] / 3_600)
        assert size["usd"] == pytest.approx(size["hours"] * prices[size["host"]])
    lowest = min(size["usd"] for size in found["predicted"])
    assert found["cheapest"] in found["predicted"]
    assert found["cheapest"]["usd"] <= 1.02 * lowest


def test_the_terms_of_an_actor_and_of_ray_are_measured_on_real_ones(advice: Advice) -> None:
    terms, found = advice.benchmark.terms, advice.benchmark
    assert min(terms.env_s, terms.act_s, terms.overhead_s, terms.loop_s, terms.ray_loop_s) > 0
    # The observations alone.
    (size,) = Task(observation="flat").environments()(1)[0].observation_space.shape
    assert 17 * 16 * size * 4 < terms.rollout_bytes < 200_000
    assert terms.weights_bytes > 128 * 128 * 4
    assert min(found.shared_steps_per_s, found.ray_steps_per_s) > 0
    # A core second is never more than a second: the loop is one thread.
    assert terms.loop_s < 1.05 * 256 / found.replay_steps_per_s


def test_recorded_terms_are_read_and_the_table_says_what_more_actors_give(recorded: Path) -> None:
    again = redox_json("advise", "--terms", recorded, "--timesteps", "1000000")
    assert again == json.loads(recorded.read_text())
    shown = succeeded("advise", "--terms", recorded, "--host", "r7i.48xlarge", "--actors", "1", "--actors", "120")
    filled = again["learner"]["filled_by"]
    for words in ("r7i.48xlarge", f"more than {filled} gives nothing", "predicted", "assumed", "more are faster"):
        assert words in shown.stdout


def test_a_time_in_which_nothing_ends_is_a_finding(recorded: Path) -> None:
    answer = redox("advise", "--terms", recorded, "--timesteps", "1000000000000", "--within", "1")
    assert_refused(answer, "no size ends within 1 h", "(--within, --timesteps)", finding=True)


def test_what_does_not_go_with_recorded_terms_is_refused(recorded: Path, tmp_path: Path) -> None:
    assert_refused(redox("advise", "--terms", recorded, "--placements", "3"), "the task they were measured on")
    assert_refused(redox("advise", "--terms", recorded, "--passes", "2"), "the task they were measured on")
    assert_refused(redox("advise", "--terms", tmp_path / "none.json"), "cannot read the terms", "--terms")
    assert_refused(redox("advise", "--terms", recorded, "--host", "c7i.large", "--actors", "99"), "on none of the")
