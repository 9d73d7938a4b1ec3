"""What raises and lowers NAD+/NADH: the data, what comes out on the embedded core, and how it is judged."""

import pytest

from commands import redox, redox_json
from redox_balancer.cell.records import packaged, read_records
from redox_balancer.evaluation.directions import DirectionResult, RatioDirection, compare_directions


@pytest.fixture(scope="module")
def found() -> dict[str, DirectionResult]:
    return {result.direction.id: result for result in compare_directions()}


def test_what_the_core_can_express_comes_out(found: dict[str, DirectionResult]) -> None:
    right = {name: result.right for name, result in found.items()}
    expressed = {"complex_i", "hypoxia", "lbnox_cytosol", "lbnox_matrix", "pyruvate"}
    assert {name for name, each in right.items() if each} == expressed
    assert {name for name, each in right.items() if each is None} == right.keys() - expressed
    assert found["complex_iii"].obstacle == found["without_glucose"].obstacle == "the cell does not grow"
    assert found["alpha_ketobutyrate"].obstacle == "no EX_2obut_e"
    assert found["lbnox_cytosol"].reference == found["complex_i"].cell
    assert found["hypoxia"].data()["source"].startswith("Yang et al. 2020")


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
    assert redox_json("validate", "--directions") == [result.data() for result in found.values()]
    text = redox("validate", "--directions").stdout
    assert "5 of 5 directions come out, of 8" in text
    for options, problem in (
        (["--model", "Recon3D"], "--directions does not go with --model"),
        (["--medium", "culture"], "--directions does not go with --medium"),
    ):
        refusal = redox("validate", "--directions", *options)
        assert refusal.returncode == 2
        assert problem in refusal.stderr
