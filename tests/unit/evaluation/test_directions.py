"""What raises and lowers NAD+/NADH: the data, what comes out on the embedded core, and how it is judged."""

import pytest

from commands import redox, redox_json
from redox_balancer.cell.records import packaged, read_records
from redox_balancer.evaluation.directions import (
    DirectionResult,
    RatioDirection,
    compare_directions,
    compare_measured,
)


@pytest.fixture(scope="module")
def found() -> dict[str, DirectionResult]:
    return {result.direction.id: result for result in compare_directions()}


def test_all_eight_come_out_and_the_others_do_not(found: dict[str, DirectionResult]) -> None:
    assert {name for name, result in found.items() if result.right} == {
        name for name, result in found.items() if not result.direction.extra
    }
    assert sum(not result.direction.extra for result in found.values()) == 8
    assert {name for name, result in found.items() if result.state == "at rest"} == {
        "complex_iii",
        "ethanol",
        "lactate",
    }
    assert {name for name, result in found.items() if result.wide} == {"ethanol", "lbnox_matrix"}
    assert found["lbnox_cytosol"].reference == found["complex_i"].cell
    assert found["hypoxia"].data()["source"].startswith("Yang et al. 2020")


def test_draws_repeat_the_best_estimate() -> None:
    results = list(compare_directions(draws=3))
    held = {result.direction.id: result.held for result in results}
    assert held["hypoxia"] == 1.0
    assert held["lactate"] == 0.0
    assert all(3 * (share or 0.0) in (0, 1, 2, 3) for share in held.values())
    cytosol, matrix = compare_measured(draws=3)
    assert (cytosol.inside, cytosol.within, cytosol.inside_held, cytosol.within_held) == (
        True,
        (True, False),
        1.0,
        (1.0, 0.0),
    )
    assert (matrix.inside, matrix.within) == (True, (True, True))


@pytest.mark.parametrize(
    ("expected", "moved", "right"),
    [
        ("lower", 0.8, True),
        ("lower", 0.95, False),
        ("lower", 1.3, False),
        ("higher", 1.2, True),
        ("higher", 1.05, False),
    ],
)
def test_a_ratio_has_to_move_by_a_tenth_in_the_right_direction(expected: str, moved: float, right: bool) -> None:  # noqa: FBT001
    known = next(iter(read_records(packaged("directions.toml"), "direction", RatioDirection).values()))
    direction = RatioDirection.model_validate(known.model_dump() | {"expected": expected})
    assert DirectionResult(direction, 100.0, 100.0 * moved).right is right


def test_the_command_prints_a_table_and_json(found: dict[str, DirectionResult]) -> None:
    printed = redox_json("validate", "--directions")
    assert printed["directions"] == [result.data() for result in found.values()]
    assert printed["measured"] == [result.data() for result in compare_measured()]
    text = redox("validate", "--directions").stdout
    assert "8 of 8 directions come out, of 8" in text
    assert "0 of 2 others come out, of 2" in text
