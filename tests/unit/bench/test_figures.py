"""Benchmarks measure what they say, at small sizes; how fast it is, is no test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from commands import assert_refused, redox
from redox_balancer.bench import learning, stepping
from redox_balancer.bench.machine import about, in_own_process
from redox_balancer.bench.reference import FirstSystem
from redox_balancer.bench.report import Figures, page
from redox_balancer.design.task import Task

if TYPE_CHECKING:
    from pathlib import Path

    from redox_balancer.design.env import RedoxEnvs


@pytest.fixture(scope="module")
def environments() -> RedoxEnvs:
    return Task(placements=3, sampling="range").environments()


@pytest.fixture(scope="module")
def figures(environments: RedoxEnvs) -> Figures:
    found = Figures(about())
    found.step.append(in_own_process(stepping.measure, environments, 2_000, 0.5))
    found.learner.append(in_own_process(learning.learner, environments, 0.2))
    found.memory.append(
        learning.MemoryFigures(
            model="human_redox_core",
            steps=10,
            actor_uss_mb=1.0,
            uss_slope_mb_per_10k_steps=0.0,
            steps_per_s=found.learner[0].learner_transitions_per_s / 50,
        )
    )
    return found


def test_steps_are_counted_and_compared(figures: Figures) -> None:
    (step,) = figures.step
    assert step.steps == 2_000
    assert step.ratio == pytest.approx(step.steps_per_s / step.reference_steps_per_s)
    assert min(step.steps_per_s, step.warm_steps_per_s, step.uncached_steps_per_s, step.reference_steps_per_s) > 0
    assert 0.3 < step.hit_rate < 1.0
    assert 0.0 < step.outside_share < 1.0
    assert step.disagreements == 0
    # The two programs of a step, less what needs none and what a region gave.
    assert step.solves < 2 * step.steps * (1 - step.hit_rate) * 1.5


def test_the_reference_solves_the_very_cell_that_ours_does(environments: RedoxEnvs) -> None:
    first = FirstSystem(environments.space)
    walk = stepping.reference_walk(environments)
    carried = []
    for _ in range(20):
        bounds = next(walk)
        assert bounds
        carried.append(first.step(bounds))
        for reaction, pair in bounds.items():
            assert first.model.reactions.get_by_id(reaction).bounds == pair
    assert first.model.optimize().objective_value >= 0.0
    assert all(total >= 0.0 for total in carried)


def test_the_page_and_the_json_hold_every_figure(figures: Figures) -> None:
    written = page(figures, "redox bench step")
    for _, _, figure in figures.rows():
        assert f"| {figure} |" in written
    answer = json.loads(json.dumps(figures.as_dict()))
    assert answer["step"][0]["ratio"] == figures.step[0].ratio
    assert answer["learner"][0]["learner_transitions_per_s"] > 0
    assert answer["about"]["packages"]["swiglpk"]


def test_predictions_end_where_the_learner_is_full(figures: Figures) -> None:
    full = figures.learner[0].learner_transitions_per_s
    found = {p["actors"]: (p["steps_per_s"], p["limit"]) for p in figures.predictions()}
    assert found[30] == (pytest.approx(full * 30 / 50), "actors")
    assert found[60] == (pytest.approx(full), "learner")


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    assert_refused(redox("bench", "core"), "core needs a model", "--input")
    assert_refused(redox("bench", "step", "--model", tmp_path / "none.json"), "none.json")
    both = redox("bench", "step", "--model", tmp_path / "a.json", "--input", tmp_path / "b.json")
    assert_refused(both, "--input makes the core")
    assert_refused(redox("bench", "core", "--input", tmp_path / "none.json"), "none.json")
    assert redox("bench", "nonsense").returncode == 2
