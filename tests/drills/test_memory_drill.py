"""A million steps on the embedded core: the memory of an actor does not grow once its caches are full."""

import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import linregress, t

from chaos import rollouts_watched
from redox_balancer.design.task import Task
from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.rollout import Rollout
from redox_balancer.resources import ProcessStats
from redox_balancer.runs import trainer
from sinks import Recorder

STEPS = int(os.environ.get("REDOX_DRILL_STEPS", "1000000"))
# With continuously sampled conditions nearly each step brings a new outcome: a cache of 5,000 is full long before.
WARM_STEPS = STEPS // 10
BLOCKS = 20
LIMIT_MB_PER_10K_STEPS = 0.05


class Sample(NamedTuple):
    """Process statistics of an actor after a number of its own steps."""

    steps: int
    stats: ProcessStats


def growth(samples: list[Sample]) -> tuple[float, float]:
    """Return MB per 10,000 steps by least squares, and the upper bound of its two-sided 95 % interval.

    Consecutive samples are correlated, so block means are fitted.
    """
    blocks = np.array_split(np.asarray([(s.steps, s.stats.uss_bytes) for s in samples]), BLOCKS)
    steps, sizes = np.asarray([block.mean(axis=0) for block in blocks]).T
    fit = linregress(steps / 1e4, sizes / 1e6)
    return float(fit.slope), float(fit.slope + t.ppf(0.975, len(blocks) - 2) * fit.stderr)


@pytest.mark.timeout(3600)
def test_an_actor_keeps_its_memory_descriptors_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_steps: dict[int, int] = defaultdict(int)
    samples: dict[str, list[Sample]] = defaultdict(list)

    def note(rollout: Rollout) -> None:
        own_steps[rollout.actor] += rollout.transitions

    class Watching(ActorPool):
        def metrics(self) -> dict[str, float]:
            for name, stats in self.process_stats().items():
                steps = own_steps[int(name.removeprefix("actor ").split(".")[0])]
                samples[name].append(Sample(steps, stats))
            return super().metrics()

    monkeypatch.setattr("redox_balancer.impala.actor_pool.ActorPool", Watching)
    config = TrainConfig(timesteps=STEPS, num_actors=2, log_interval_s=0.5)
    environments = Task(sampling="range").environments()
    with rollouts_watched(note):
        result = trainer.train(config, environments, tmp_path, resume=None, progress=Recorder())
    print()  # noqa: T201 - a drill prints its measurements
    assert result.steps >= STEPS
    assert sorted(samples) == ["actor 0.0", "actor 1.0"]
    for name, found in samples.items():
        warm = [sample for sample in found if sample.steps >= WARM_STEPS]
        slope, upper = growth(warm)
        quarter = len(warm) // 4
        # Ray's pools fluctuate by one or two; growth moves the median.
        first, last = (
            np.median([(s.stats.descriptors, s.stats.threads) for s in part], axis=0)
            for part in (warm[:quarter], warm[-quarter:])
        )
        print(  # noqa: T201
            f"{name}: {warm[-1].stats.uss_bytes / 1e6:.1f} MB after {warm[-1].steps:,} own steps; "
            f"from {WARM_STEPS:,} on {slope:+.4f} MB per 10,000 steps, upper 95 % bound {upper:+.4f} "
            f"({len(warm)} samples); "
            f"descriptors and threads {first} in the first quarter, {last} in the last (medians)"
        )
        assert upper < LIMIT_MB_PER_10K_STEPS
        assert (last <= first).all()
