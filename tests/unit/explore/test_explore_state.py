"""States of the page as links, and undo."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redox_balancer.errors import RedoxError
from redox_balancer.explore.state import ENTRIES, SAME_MOVE_S, ExploreState, History

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
AMOUNTS = st.dictionaries(NAMES, st.floats(0, 1e6), max_size=5)


@given(st.builds(ExploreState, model=NAMES, cell=NAMES, condition=NAMES, bounds=AMOUNTS, enzymes=AMOUNTS))
def test_a_link_holds_a_state_to_the_last_digit(state: ExploreState) -> None:
    assert ExploreState.of_query(state.query()) == state


@pytest.mark.parametrize(
    "query",
    [
        "bound=EX_o2_e+uptake+nan",
        "bound=EX_o2_e+uptake+-1",
        "bound=EX_o2_e+uptake+inf",
        "bound=EX_o2_e+uptake+1&bound=EX_o2_e+uptake+2",
        "bound=1",
        "enzyme=LBNOX_c",
        "condition=a&condition=b",
        "file=/etc/passwd",
        "condition",
        f"condition={'a' * 400}",
        "&".join(f"bound=a{number}+1" for number in range(ENTRIES + 1)),
        "&".join(f"bound=a{number}+1" for number in range(5 * ENTRIES)),
    ],
)
def test_a_link_that_is_no_state_is_refused_in_one_line(query: str) -> None:
    if query == "bound=1":  # a bound without a name is refused by the cell
        assert ExploreState.of_query(query).bounds == {"": 1.0}
        return
    with pytest.raises(RedoxError, match=r"^this link is no state of the page: [^\n]*$") as refused:
        ExploreState.of_query(query)
    assert refused.value.hint


def test_steps_are_undone_and_done_again_until_a_new_one() -> None:
    first, second, third = (ExploreState(condition=name) for name in "abc")
    history = History(first)
    assert not history.can_undo
    history.add(second)
    assert history.step(-1) is history.state is first
    assert history.step(-1) is first
    assert history.can_redo
    assert history.step(1) is second
    history.step(-1)
    history.add(third)
    assert not history.can_redo
    assert history.step(-1) is first


def test_the_steps_of_one_movement_are_undone_together() -> None:
    now = 0.0
    states = [ExploreState().with_bound("EX_o2_e uptake", number) for number in range(5)]
    history = History(states[0], now=lambda: now)
    for state in states[1:3]:
        history.add(state, "oxygen")
        now += SAME_MOVE_S / 2
    now += SAME_MOVE_S
    history.add(states[3], "oxygen")
    history.add(states[4], "glucose")
    assert [history.step(-1) for _ in range(3)] == [states[3], states[2], states[0]]


def test_a_long_history_forgets_its_beginning() -> None:
    history = History(ExploreState())
    for number in range(3 * ENTRIES):
        history.add(ExploreState(condition=str(number)))
    steps = 0
    while history.can_undo:
        history.step(-1)
        steps += 1
    assert steps == ENTRIES - 1


def test_bounds_and_enzymes_are_put_in_and_taken_out() -> None:
    state = ExploreState().with_bound("a flux", 1.0).with_enzyme("LBNOX_c", 1e-3).with_enzyme("AOX_m", 1e-4)
    assert state.with_enzyme("LBNOX_c", 3e-4).enzymes == {"LBNOX_c": 3e-4, "AOX_m": 1e-4}
    assert state.with_bound("a flux", None).with_enzyme("LBNOX_c", None).with_enzyme("AOX_m", None) == ExploreState()
    assert math.isclose(state.bounds["a flux"], 1.0)
