"""Benchmarks at small sizes: what they count, report and predict. The speed itself is not tested."""

import json
from dataclasses import replace

import pytest

from redox_balancer.bench import learning, stepping
from redox_balancer.bench.machine import about, in_own_process
from redox_balancer.bench.report import BenchmarkResults, page
from redox_balancer.bench.scaling import HostModel, full, predict
from redox_balancer.bench.stepping import FirstSystem
from redox_balancer.bench.throughput import ThroughputBenchmark
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.task import Task
from redox_balancer.impala.config import TrainConfig
from tests.support.training_terms import TERMS

STEPS = 600
CONFIG = TrainConfig(envs_per_actor=4, batch_size=128)  # of rollouts that are soon recorded
HOST = HostModel(vcpus=20, threads_per_core=2, pair_yield=1.5, network_gbit_s=8.0)


@pytest.fixture(scope="module")
def environments() -> RedoxEnvs:
    return Task(placements=3, sampling="range").environments()


@pytest.fixture(scope="module")
def results(environments: RedoxEnvs) -> BenchmarkResults:
    found = BenchmarkResults(about())
    found.step.append(in_own_process(stepping.measure, environments, CONFIG, STEPS, 0.2))
    found.learner.append(in_own_process(learning.learner, environments, CONFIG, 0.2))
    found.throughput.append(
        ThroughputBenchmark(
            model="human_redox_core",
            terms=TERMS,
            learner_threads=1,
            replay_actors=2,
            shared_steps_per_s=900_000.0,
            ray_steps_per_s=90_000.0,
            replay_steps_per_s=45_000.0,
        )
    )
    return found


def test_steps_are_counted_and_compared(results: BenchmarkResults) -> None:
    (step,) = results.step
    assert step.steps == STEPS
    assert step.ratio == pytest.approx(step.steps_per_s / step.reference_steps_per_s)
    assert min(step.steps_per_s, step.warm_steps_per_s, step.uncached_steps_per_s, step.reference_steps_per_s) > 0
    assert min(step.named_per_cpu_s, step.drawn_per_cpu_s) > 0
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
    assert found["step_s"] == pytest.approx(1e-3)
    assert found["assumed"]["vcpus"] == 192
    assert found["model_replay_steps_per_s"] == pytest.approx(1 / (1e-6 + 1e-5 / 100))
    assert {(row["actors"], row["hosts"]) for row in found["predictions"]} == {
        (30, 1), (60, 1), (120, 1), (240, 2), (480, 4)
    }  # fmt: skip
    assert {row["limit"] for row in found["full"] if row["hosts"] == 4} == {"ray", "network", "learner"}
    written = page(results, "redox bench throughput")
    for row in (*results.scaling_rows(), *results.full_rows()):
        assert f"| {' | '.join(row)} |" in written
    assert "Assumed, not measured" in written


def test_unlimited_actors_deliver_n_over_the_time_of_a_step() -> None:
    found = predict(TERMS, HOST, 5)
    assert (found.steps_per_s, found.limit) == (pytest.approx(5_000), "actors")
    for term in ("env_s", "act_s", "overhead_s"):
        slower = replace(TERMS, **{term: getattr(TERMS, term) + 1e-3})
        assert predict(slower, HOST, 5).steps_per_s == pytest.approx(2_500)


def test_actors_that_share_a_core_deliver_less_and_those_without_a_hyperthread_nothing() -> None:
    # 10 cores, 2 of them busy with something else.
    expected = {8: 8.0, 9: 8.5, 16: 12.0, 20: 12.0}
    assert {actors: HOST.working(actors, taken=2.0) for actors in expected} == expected
    assert HOST.working(10) == 10.0
    assert HOST.working(20) == 15.0
    assert replace(HOST, threads_per_core=1).working(30, taken=2.0) == 18.0
    assert HOST.working(20, taken=11.0) == 0.0


def test_learner_and_loop_take_the_cores_that_their_throughput_needs() -> None:
    # A step takes 1 ms of an actor and 1 ms of the others.
    heavy = replace(TERMS, learner_s=0.1e-3, loop_s=0.09, ray_loop_s=0.09, raylet_s=1e-9)
    assert predict(heavy, HOST, 4).limits["actors"] == pytest.approx(4_000)
    assert predict(heavy, HOST, 20).limits["actors"] == pytest.approx(6_000)  # 1.5 (10 - x) = x
    # All of one host for the others, and 10 actors on the second.
    assert predict(heavy, HOST, 20, hosts=2).limits["actors"] == pytest.approx(10_000)


def test_each_part_becomes_the_limit_where_it_saturates() -> None:
    # Half of the rollouts come from another host, through Ray.
    slow_ray = replace(TERMS, raylet_s=50e-3)
    assert predict(slow_ray, HOST, 3, hosts=2).limit == "actors"
    assert predict(slow_ray, HOST, 8, hosts=2)[2:4] == (pytest.approx(4_000), "ray")
    assert "ray" not in predict(slow_ray, HOST, 8).limits
    slow_loop = replace(TERMS, learner_s=0.2e-3, loop_s=1e-3, ray_loop_s=9e-3)
    assert predict(slow_loop, HOST, 8, hosts=2).limits["learner"] == pytest.approx(4_000)
    # The learner's 0.2 ms and the loop's 5 ms / 100.
    slow_learner = replace(TERMS, learner_s=0.2e-3, loop_s=5e-3)
    assert predict(slow_learner, HOST, 3).limit == "actors"
    assert predict(slow_learner, HOST, 8)[2:4] == (pytest.approx(4_000), "learner")


def test_the_network_limits_only_what_comes_from_other_machines() -> None:
    # 1e9 bytes/s; a step of 1 MB, half of the actors remote.
    heavy = replace(TERMS, rollout_bytes=100_000_000)
    assert "network" not in predict(heavy, HOST, 8).limits
    assert predict(heavy, HOST, 8, hosts=2).limits["network"] == pytest.approx(2_000)
    assert predict(heavy, HOST, 8, hosts=2).limit == "network"
    # Weights of 1 GB for each 1,000 steps, to three hosts.
    weighty = replace(TERMS, weights_bytes=1_000_000_000)
    assert predict(weighty, HOST, 8, hosts=4).limits["network"] == pytest.approx(1_000 / 3)


def test_batches_grow_with_the_actors_so_that_no_rollout_is_too_old() -> None:
    # While one of 16 actors plays a rollout, 2 updates take those of all: an actor may be 4 times slower.
    strict = replace(TERMS, max_lag=7, rollouts_per_batch=2)
    assert [predict(strict, HOST, actors).batch_size for actors in (2, 4, 5, 16)] == [200, 200, 300, 800]


def test_a_limit_reports_how_many_actors_saturate_it_or_that_they_do_not_fit() -> None:
    found = {each.limit: each for each in full(replace(TERMS, learner_s=0.2e-3, loop_s=5e-3), HOST)}
    assert (found["learner"].actors, found["learner"].steps_per_s) == (4, pytest.approx(4_000))
    found = {each.limit: each for each in full(replace(TERMS, raylet_s=5e-3), HOST, hosts=2)}
    assert found["ray"].actors is None
    assert found["ray"].steps_per_s == pytest.approx(40_000)
