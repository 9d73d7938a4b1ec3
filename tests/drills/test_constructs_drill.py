"""Ten thousand random constructs carry no flux with all exchanges closed; two solvers agree on eleven thousand."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from commands import succeeded
from free_flux import free_flux
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.placement import Reason
from redox_balancer.design.task import Task
from second_solver import SecondSolver, random_construct

CONSTRUCTS = int(os.environ.get("REDOX_DRILL_CONSTRUCTS", "10000"))


@pytest.fixture(scope="module")
def recon3d_core(recon3d_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recon3d") / "core.json"
    succeeded("build-core", "--input", recon3d_path, "--output", path)
    return path


@pytest.mark.parametrize("model", ["core", "recon3d"])
def test_no_construct_carries_flux_with_all_exchanges_closed(model: str, request: pytest.FixtureRequest) -> None:
    path: Path | None = None if model == "core" else request.getfixturevalue("recon3d_core")
    space = Task(model=path, candidates="all").space()
    cycles = {entry.id: entry.cycle for entry in space.excluded if entry.reason is Reason.CYCLE}
    generator = np.random.default_rng(23)
    began = time.perf_counter()
    found = free_flux(space, (random_construct(space, generator) for _ in range(CONSTRUCTS)))
    seconds = time.perf_counter() - began
    print(  # noqa: T201 - a drill prints its measurements
        f"\n{space.network.id}: {found.constructs:,} constructs of {len(space.placements)} placements, "
        f"{found.solves:,} solves in {seconds:.0f} s, {found.failures} not optimal, largest {found.largest:.3g}; "
        f"excluded for cycles: {cycles or 'none'}"
    )
    assert found.failures == 0
    assert found.largest < 1e-9


def test_two_solvers_agree_in_every_condition() -> None:
    space = Task(candidates="all").space()
    generator = np.random.default_rng(29)
    second = SecondSolver(space)
    worst_growth = worst_capacity = 0.0
    began = time.perf_counter()
    with Evaluator(space, cache_entries=0) as evaluator:
        for condition in space.conditions:
            for _ in range(CONSTRUCTS // 10):
                construct = random_construct(space, generator, levels=5)
                outcome = evaluator.evaluate(construct, condition)
                growth, capacity = second.outcome(construct, condition)
                worst_growth = max(worst_growth, abs(outcome.growth - growth))
                worst_capacity = max(worst_capacity, abs(outcome.capacity - capacity))
    seconds = time.perf_counter() - began
    print(  # noqa: T201 - a drill prints its measurements
        f"\nGLPK and HiGHS, {CONSTRUCTS // 10:,} constructs in each of {len(space.conditions)} conditions: growth "
        f"within {worst_growth:.2g} 1/h, capacity within {worst_capacity:.2g} mmol/gDW/h, {seconds:.0f} s"
    )
    assert worst_growth < 1e-7
    assert worst_capacity < 1e-7
