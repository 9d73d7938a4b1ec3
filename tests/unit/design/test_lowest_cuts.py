"""The lowest of many cuts at each placement: the same to the last bit as by a look at all of them."""

import numpy as np
import pytest

from redox_balancer.design.outlook import TOGETHER, Cuts, Shifts

CUTS, POINTS, MOVES, WIDTH = 5 * TOGETHER + 3, 40, 30, 12


def lowest_of_all(cuts: Cuts, changes: Shifts, known: np.ndarray) -> np.ndarray:
    return np.minimum(cuts.values(cuts.at(changes.points), changes).min(axis=1), known)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("usual", [True, False], ids=["usual", "narrowed bounds and slopes of the wrong sign"])
def test_it_is_the_lowest_of_all_cuts(*, usual: bool, held: bool) -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(CUTS, WIDTH))
    rows[:, -2] = -np.abs(rows[:, -2])
    slopes = generator.random((2, CUTS, MOVES)) * (generator.random((2, CUTS, MOVES)) < 0.3)
    steps = generator.random((POINTS, 2, MOVES)) * np.array([1.0, -1.0])[:, None]
    if not usual:
        rows[::7, -2] = 0.1
        slopes[0, ::9, ::2] = -8.0
        steps[::3, :, ::5] *= -2.0
    beyond = generator.normal(size=(POINTS, MOVES)) if held else None
    cuts = Cuts(rows, slopes[0], -slopes[1])
    changes = Shifts(generator.random((POINTS, WIDTH - 1)), steps, beyond)
    asked = generator.random((POINTS, MOVES)) < 0.7
    asked[::11] = False
    known = np.where(generator.random((POINTS, MOVES)) < 0.2, -0.5, 2.0)
    found = cuts.lowest(changes, asked, known)
    assert (found[asked] == lowest_of_all(cuts, changes, known)[asked]).all()
    assert (found[~asked] >= lowest_of_all(cuts, changes, known)[~asked]).all()


def test_without_cuts_it_is_what_is_known() -> None:
    none = Cuts(np.empty((0, WIDTH)), np.empty((0, MOVES)), np.empty((0, MOVES)))
    changes = Shifts(np.ones((2, WIDTH - 1)), np.zeros((2, 2, MOVES)))
    known = np.arange(2.0 * MOVES).reshape(2, MOVES)
    assert (none.lowest(changes, np.ones((2, MOVES), dtype=np.bool_), known) == known).all()
