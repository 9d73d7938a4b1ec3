"""A short memory drill: `make drills` does a million steps with actors."""

from commands import python

PROGRAM = """
from redox_balancer.design.task import Task
from redox_balancer.impala.rollout import RolloutCollector
from redox_balancer.resources import process_stats
from dataclasses import replace
import numpy as np

environments = replace(Task(sampling="range").environments(), cache_entries=500, region_bytes=1_000_000)
collector = RolloutCollector(environments, count=8, length=16, hidden_sizes=(16,), seed=0)
collector.set_weights(collector.shape.initial(np.random.default_rng(0)), 0)

def play(steps):
    for _ in range(steps // (8 * 16)):
        collector.collect()
    return process_stats()

seen = [play(32_000)] + [play(12_000) for _ in range(3)]
grown = min(after.uss_bytes - before.uss_bytes for before, after in zip(seen, seen[1:]))
print(grown, seen[-1].descriptors - seen[0].descriptors, seen[-1].threads - seen[0].threads)
"""


def test_a_collector_does_not_grow_once_its_caches_are_full() -> None:
    answer = python(PROGRAM)
    assert answer.returncode == 0, answer.stderr
    grown, descriptors, threads = map(int, answer.stdout.split())
    # All caches are full after some 10,000 steps, the allocator's pools a while later, in units of pages: a leak
    # shows in each of the three intervals. Sixteen bytes leaked per step are 0.2 MB.
    assert grown < 0.2e6
    assert descriptors == threads == 0
