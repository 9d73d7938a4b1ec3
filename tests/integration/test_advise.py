"""`redox advise` on the embedded core: measured for a moment, and again from the terms that it recorded."""

import json
from pathlib import Path

import pytest

from commands import assert_refused, redox, redox_json, succeeded


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    answer = succeeded("advise", "--seconds", "0.5", "--timesteps", "1000000", "--observation", "flat", "--json")
    assert "one actor" in answer.stderr  # progress
    file = tmp_path_factory.mktemp("advice") / "advice.json"
    file.write_text(answer.stdout)
    return file


def test_terms_of_the_task_are_measured_and_give_speed_time_and_cost(recorded: Path) -> None:
    found = json.loads(recorded.read_text())
    assert found["model"] == "human_redox_core"
    assert found["about"]["task"] == {"observation": "flat"}
    assert all(term > 0 for term in found["terms"].values())
    assert found["assumed"]["pair_yield"] == 1.25
    prices = {each["id"]: each["per_hour_usd"] for each in found["prices"]}
    for size in found["predicted"]:
        assert size["hours"] == pytest.approx(1_000_000 / size["steps_per_s"] / 3_600)
        assert size["usd"] == pytest.approx(size["hours"] * prices[size["host"]])
    lowest = min(size["usd"] for size in found["predicted"])
    assert found["cheapest"] in found["predicted"]
    assert found["cheapest"]["usd"] <= 1.02 * lowest


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
    assert_refused(redox("advise", "--terms", tmp_path / "none.json"), "cannot read the terms", "--terms")
    assert_refused(redox("advise", "--terms", recorded, "--host", "c7i.large", "--actors", "99"), "on none of the")
