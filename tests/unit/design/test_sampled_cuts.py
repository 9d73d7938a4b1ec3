"""Cuts sampled once: no optimum is above them, and a process's earlier queries do not change them."""

from dataclasses import replace

import numpy as np
import pytest

from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.outlook import Outlook
from redox_balancer.design.sampled_cuts import sampled_cuts
from redox_balancer.design.settings import Reward
from redox_balancer.design.states import held_out_states
from redox_balancer.design.task import Task


@pytest.mark.parametrize("reward", ["capacity", "guaranteed", "rescue"])
def test_no_optimum_is_above_a_sampled_cut_and_many_are_close_to_one(reward: Reward) -> None:
    space, generator = Task(sampling="box", reward=reward).space(), np.random.default_rng(3)
    with Evaluator(space) as evaluator:
        cuts, gaps = sampled_cuts(evaluator), []
        for condition in held_out_states(space, 60, 11):
            cell = evaluator.cell(condition)[1]
            placed = [(int(generator.integers(len(space.placements))), 2) for _ in range(2)]
            point = evaluator.formulation.with_placed(cell, placed)
            for program, rows in zip(evaluator.programs.lps, cuts, strict=True):
                u = point[: rows.shape[1] - 1]
                solution = program.maximise(u)
                if solution.optimal:
                    gap = (rows[:, :-1] @ u + rows[:, -1]).min() - solution.objective
                    assert gap >= -1e-7 * max(1.0, abs(solution.objective))
                    gaps.append(gap / max(1e-3, abs(solution.objective)))
    assert len(gaps) > 40
    assert np.median(gaps) < 0.05


def test_the_cuts_are_the_same_whatever_a_process_solved_before() -> None:
    space = Task().space()
    with Evaluator(space) as fresh, Evaluator(space) as used:
        for condition in space.conditions:
            used.evaluate(Construct.empty(len(space.placements)).place(4, 1), condition)
        solves = used.solves
        for first, second in zip(sampled_cuts(fresh), sampled_cuts(used), strict=True):
            assert (first == second).all()
        assert sampled_cuts(used) is sampled_cuts(used)
        assert used.solves == solves


def test_a_library_of_one_enzyme_has_cuts_too() -> None:
    space = Task(candidates="all").space()
    with Evaluator(replace(space, placements=space.placements[:1])) as evaluator:
        assert all(len(rows) for rows in sampled_cuts(evaluator)[:1])


@pytest.mark.parametrize(("reward", "samples"), [("capacity", 0), ("guaranteed", 0), ("capacity", 64)])
def test_most_of_the_best_next_placement_is_won_by_the_estimates_alone(reward: Reward, samples: int) -> None:
    space = Task(sampling="box", reward=reward, parameter_samples=samples).space()
    shares = []
    with Evaluator(space) as evaluator:
        outlook = Outlook(evaluator, sampled_cuts(evaluator))
        for condition in held_out_states(space, 6, 777):
            construct = Construct.empty(len(space.placements))
            for _ in range(2):
                outcome, present = evaluator.outcome(construct, condition), evaluator.evaluate(construct, condition)
                free = np.ones((len(space.placements), len(space.levels)), dtype=np.bool_)
                free[[placement for placement, _ in construct]] = False
                won = np.full(free.shape, -np.inf)
                for placement, level in np.argwhere(free).tolist():
                    grown = evaluator.evaluate(construct.place(placement, level), condition)
                    won[placement, level] = grown.value - present.value
                if outcome.growth == 0.0 or won.max() < 1e-3:
                    break
                estimates = outlook.gains([outlook.prospect(construct, condition, outcome)], free[None])[0]
                chosen = np.where(free, estimates, -np.inf).argmax()
                shares.append(max(0.0, won.flat[chosen]) / won.max())
                construct = construct.place(*divmod(int(won.argmax()), len(space.levels)))
    assert len(shares) > 6
    assert np.mean(shares) > 0.95
