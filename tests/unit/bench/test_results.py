"""Benchmarks at small sizes: what they count and report. The speed itself is not tested."""

import json
from pathlib import Path

import pytest

from commands import assert_refused, redox
from redox_balancer.bench import learning, stepping
from redox_balancer.bench.machine import about, in_own_process
from redox_balancer.bench.reference import FirstSystem
from redox_balancer.bench.report import BenchmarkResults, page
from redox_balancer.bench.scaling import Terms
from redox_balancer.bench.throughput import ThroughputBenchmark
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.task import Task

# Invented: a step takes 0.2 ms, the learner saturates at 50,000 steps/s and Ray at 256,000.
TERMS = Terms(
    env_s=150e-6,
    act_s=30e-6,
    overhead_s=20e-6,
    learner_s=18e-6,
    loop_s=512e-6,
    raylet_s=1e-3,
    rollout_bytes=128_000,
    weights_bytes=200_000,
    transitions=256,
    rollouts_per_batch=2,
    max_lag=50,
)


@pytest.fixture(scope="module")
def environments() -> RedoxEnvs:
    return Task(placements=3, sampling="range").environments()


@pytest.fixture(scope="module")
def results(environments: RedoxEnvs) -> BenchmarkResults:
    found = BenchmarkResults(about())
    found.step.append(in_own_process(stepping.measure, environments, 2_000, 0.5))
    found.learner.append(in_own_process(learning.learner, environments, 0.2))
    found.throughput.append(
        ThroughputBenchmark(
            model="human_redox_core",
            terms=TERMS,
            learner_threads=1,
            replay_actors=2,
            ray_steps_per_s=90_000.0,
            replay_steps_per_s=45_000.0,
        )
    )
    return found


def test_steps_are_counted_and_compared(results: BenchmarkResults) -> None:
    (step,) = results.step
    assert step.steps == 2_000
    assert step.ratio == pytest.approx(step.steps_per_s / step.reference_steps_per_s)
    assert min(step.steps_per_s, step.warm_steps_per_s, step.uncached_steps_per_s, step.reference_steps_per_s) > 0
    assert 0.3 < step.hit_rate < 1.0
    assert 0.0 < step.outside_share < 1.0
    assert step.disagreements == 0
    # Two programs per step, without those that are not needed or were looked up.
    assert step.solves < 2 * step.steps * (1 - step.hit_rate) * 1.5


def test_the_reference_solves_the_same_cell(environments: RedoxEnvs) -> None:
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


def test_the_page_and_the_json_contain_every_value(results: BenchmarkResults) -> None:
    written = page(results, "redox bench step")
    for _, _, value in results.rows():
        assert f"| {value} |" in written
    answer = json.loads(json.dumps(results.as_dict()))
    assert answer["step"][0]["ratio"] == results.step[0].ratio
    assert answer["learner"][0]["learner_transitions_per_s"] > 0
    assert answer["about"]["packages"]["swiglpk"]


def test_throughput_reports_terms_assumptions_and_limits(results: BenchmarkResults) -> None:
    (found,) = json.loads(json.dumps(results.as_dict()))["throughput"]
    assert found["terms"]["env_s"] == TERMS.env_s
    assert found["step_s"] == pytest.approx(200e-6)
    assert found["assumed"]["vcpus"] == 192
    assert found["model_replay_steps_per_s"] == pytest.approx(50_000)
    assert {(row["actors"], row["hosts"]) for row in found["predictions"]} == {
        (30, 1), (60, 1), (120, 1), (240, 2), (480, 4)
    }  # fmt: skip
    assert {row["limit"] for row in found["full"] if row["hosts"] == 4} == {"ray", "network", "learner"}
    written = page(results, "redox bench throughput")
    for row in (*results.scaling_rows(), *results.full_rows()):
        assert f"| {' | '.join(row)} |" in written
    assert "Assumed, not measured" in written


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    assert_refused(redox("bench", "core"), "core needs a model", "--input")
    assert_refused(redox("bench", "step", "--model", tmp_path / "none.json"), "none.json")
    both = redox("bench", "step", "--model", tmp_path / "a.json", "--input", tmp_path / "b.json")
    assert_refused(both, "--input and --model exclude each other")
    assert_refused(redox("bench", "core", "--input", tmp_path / "none.json"), "none.json")
    assert redox("bench", "nonsense").returncode == 2
