"""Advice on the size of a training: known terms give known speeds, times and costs, and the cheapest is found."""

import json
import math
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from redox_balancer.bench.advice import (
    MeasuredTerms,
    RentedHost,
    cheapest,
    enough_by_speed,
    pick_hosts,
    read_terms,
    rented_hosts,
    room,
    sizes,
    useful_actors,
)
from redox_balancer.bench.scaling import predict
from redox_balancer.errors import RedoxError
from tests.support.training_terms import TERMS as UNSATURATED

# A step takes 1 ms of an actor, and 0.102 ms of the learner and the loop: ten actors fill them.
TERMS = replace(UNSATURATED, learner_s=0.092e-3, loop_s=1e-3, ray_loop_s=1e-3, raylet_s=1e-9)
SLOW = replace(TERMS, env_s=1.0)
ABOUT = {"processor": "one", "cores": 2, "load_before": 0.5}


def host(name: str, vcpus: int, per_hour_usd: float, memory_gib: float = 1_000.0) -> RentedHost:
    return RentedHost(
        id=name,
        vcpus=vcpus,
        memory_gib=memory_gib,
        network_gbit_s=10.0,
        per_hour_usd=per_hour_usd,
        source="a test",
        read=date(2026, 11, 27),
    )


SMALL, MIDDLE, LARGE = host("small", 8, 1.0), host("middle", 32, 3.0), host("large", 200, 20.0)
FULL = 1 / 0.102e-3  # steps/s of the learner and the loop
HOUR = round(3_600 * FULL)


def test_known_terms_give_known_speeds_times_and_costs() -> None:
    (size,) = sizes(TERMS, [MIDDLE], timesteps=2 * HOUR, max_actors=120)
    assert (size.actors, size.useful, size.limit) == (10, 10, "learner")
    assert size.steps_per_s == pytest.approx(FULL)
    assert (size.hours, size.usd) == (pytest.approx(2.0), pytest.approx(6.0))


def test_more_actors_than_fill_the_learner_give_nothing_and_fewer_less() -> None:
    found = sizes(TERMS, [LARGE], timesteps=HOUR, actors=(5, 10, 120), max_actors=120)
    speeds = {size.actors: (round(size.steps_per_s), size.limit, size.useful) for size in found}
    full = round(FULL)
    assert speeds == {5: (5_000, "actors", 10), 10: (full, "learner", 10), 120: (full, "learner", 10)}
    learner = MeasuredTerms(model="core", terms=TERMS, about=ABOUT).learner
    assert (learner.actors, learner.limit) == (10, "learner")
    assert useful_actors(TERMS, LARGE.model, 1, 120) == 10


def test_cells_fill_a_host_that_one_learner_leaves_idle() -> None:
    found = {
        cells: sizes(TERMS, [LARGE], timesteps=HOUR, cells=cells, max_actors=120)[0] for cells in (1, 2, 4, 12, 40)
    }
    # Ten actors fill a learner, whose sums of gradients take 1 us of 102 a step.
    assert {cells: size.actors for cells, size in found.items() if cells < 12} == {1: 10, 2: 20, 4: 39}
    for cells in (2, 4):
        assert found[cells].steps_per_s == pytest.approx(cells * FULL, rel=0.02)
        assert found[cells].limit == "learner"
    assert (found[12].limit, found[40].limit) == ("max_actors", "max_actors")
    assert found[12].steps_per_s == pytest.approx(found[40].steps_per_s)
    # A machine without a cell would have no use for its actors.
    assert not sizes(TERMS, [SMALL], timesteps=HOUR, machines=(3,), cells=2, max_actors=120)
    (three,) = sizes(TERMS, [SMALL], timesteps=HOUR, machines=(3,), cells=3, max_actors=120)
    assert three.limit == "cores"


def test_where_a_step_is_slow_every_hyperthread_and_further_machines_are_of_use() -> None:
    found = sizes(SLOW, [SMALL], timesteps=HOUR, machines=(1, 3), max_actors=120)
    alone, three = sorted(found, key=lambda size: size.machines)
    assert (alone.actors, alone.limit, three.actors, three.limit) == (8, "cores", 24, "cores")
    assert three.steps_per_s == pytest.approx(3 * alone.steps_per_s, rel=1e-3)
    assert three.usd == pytest.approx(alone.usd, rel=1e-3)
    (capped,) = sizes(SLOW, [SMALL], timesteps=HOUR, machines=(3,), max_actors=20)
    assert (capped.actors, capped.limit) == (20, "max_actors")


def test_the_memory_of_an_actor_limits_their_number() -> None:
    # 0.8 of what is free, for actors that grow by a quarter: 4 GiB - 2 GiB take 13 actors of 100 MB.
    tight = host("tight", 32, 3.0, memory_gib=4.0)
    assert room(TERMS, tight) == (13, "memory")
    (size,) = sizes(SLOW, [tight], timesteps=HOUR, max_actors=120)
    assert (size.actors, size.limit) == (13, "memory")
    assert room(TERMS, MIDDLE) == (32, "cores")
    assert sizes(TERMS, [host("none", 8, 1.0, memory_gib=2.0)], timesteps=HOUR, max_actors=120) == []


def test_the_cheapest_that_ends_in_time_is_found() -> None:
    found = sizes(TERMS, [LARGE, MIDDLE, SMALL], timesteps=HOUR, max_actors=120)
    assert [size.host for size in found] == ["small", "middle", "large"]
    hours = {size.host: size.hours for size in found}
    for within, name in ((math.inf, "small"), (hours["small"], "small"), (1.01, "middle"), (0.5, None)):
        best = cheapest(found, within)
        assert (best and best.host) == name


def test_of_sizes_that_cost_as_much_the_fastest_is_taken() -> None:
    found = sizes(SLOW, [SMALL, host("double", 16, 2.001)], timesteps=HOUR, max_actors=120)
    best = cheapest(found)
    assert best is not None
    assert (found[0].host, best.host) == ("small", "double")


def test_the_hosts_of_the_package_have_prices_and_are_picked_by_name() -> None:
    assert pick_hosts([]) == list(rented_hosts().values())
    assert [each.vcpus for each in pick_hosts(["c7i.2xlarge", "r7i.48xlarge"])] == [8, 192]
    with pytest.raises(RedoxError, match=r"unknown host 'c7g\.large'") as refused:
        pick_hosts(["c7g.large"])
    assert "c7i.large" in refused.value.hint


def written(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "terms.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_recorded_terms_are_read_from_an_advice_or_a_benchmark(tmp_path: Path) -> None:
    entry = {"model": "core", "terms": asdict(TERMS)}
    advice = written(tmp_path, {**entry, "about": ABOUT, "predicted": []})
    assert read_terms(advice) == [MeasuredTerms(model="core", terms=TERMS, about=ABOUT)]
    benchmark = written(tmp_path, {"about": ABOUT, "throughput": [entry, {**entry, "model": "other"}]})
    assert [each.model for each in read_terms(benchmark)] == ["core", "other"]


@pytest.mark.parametrize(
    "content",
    [
        "not JSON",
        "[]",
        "{}",
        {"about": ABOUT, "throughput": []},
        {"about": ABOUT, "model": "core", "terms": {"env_s": 1e-4}},
        {"about": ABOUT, "model": "core", "terms": asdict(TERMS) | {"env_s": 0.0}},
        {"about": ABOUT, "model": "core", "terms": asdict(TERMS) | {"learner_s": math.nan}},
        {"about": ABOUT, "model": "core", "terms": asdict(TERMS) | {"actor_bytes": "large"}},
    ],
)
def test_a_file_without_terms_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(RedoxError, match="has no terms of a training"):
        read_terms(written(tmp_path, content))


def test_the_speeds_of_a_run_show_how_many_actors_were_enough() -> None:
    assert enough_by_speed({30: 80_000.0, 60: 83_000.0, 120: 82_000.0}) == 30
    assert enough_by_speed({30: 40_000.0, 60: 79_000.0, 120: 82_000.0}) == 60
    assert enough_by_speed({30: 40_000.0, 60: 80_000.0, 120: 160_000.0}) is None
    assert enough_by_speed({120: 80_000.0}) is None
    assert enough_by_speed({}) is None


def test_the_learner_fills_at_the_speed_of_the_model() -> None:
    learner = MeasuredTerms(model="core", terms=SLOW, about=ABOUT).learner
    assert learner.steps_per_s == pytest.approx(predict(TERMS, LARGE.model, 120).steps_per_s)
    assert learner.actors == math.ceil(learner.steps_per_s * SLOW.step_s)
