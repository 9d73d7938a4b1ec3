from pathlib import Path

import cobra
import pytest

from public_models import Answer, compared, fault

SHIPPED = Path(cobra.__file__).parent / "data"
READ = {"cobrapy": 0.5, "highs": 0.5}
REFUSED = "error: model toy has no growth reaction\nhint: name one\n"


def test_a_model_that_cobrapy_ships_gives_its_growth() -> None:
    row = compared(SHIPPED / "textbook.xml.gz")
    assert row["fault"] is None
    assert row["growth"] == pytest.approx(row["cobrapy"], rel=1e-6)
    assert row["placements"] == 7
    assert row["highs"] == pytest.approx(0.8739215, rel=1e-6)


def answer(code: int = 0, stderr: str = "", seconds: float = 1.0, megabytes: float = 300.0) -> Answer:
    return Answer(code, "", stderr, seconds, megabytes)


@pytest.mark.parametrize(
    ("ours", "growth", "read", "found"),
    [
        (answer(), 0.5, READ, None),
        (answer(), 0.5, READ | {"cobrapy": None}, None),
        (answer(), 0.5, {}, None),
        (answer(2, REFUSED), None, READ, None),
        (answer(2, REFUSED), 0.0, READ, "growth 0.0"),
        (answer(), 0.50001, READ, "growth 0.50001"),
        (answer(seconds=121.0), 0.5, READ, "121 s"),
        (answer(megabytes=3001.0), 0.5, READ, "3001 MB"),
        (answer(-9), None, READ, "exit code -9"),
        (answer(1, "KeyError: 'h_c'\n"), None, READ, "exit code 1"),
        (answer(2, "error: two\nlines\nhint: none\n"), None, READ, "exit code 2"),
    ],
)
def test_what_the_drill_of_public_models_calls_a_fault(
    ours: Answer, growth: float | None, read: dict[str, float], found: str | None
) -> None:
    said = fault(ours, growth, read)
    assert said == found if found is None else found in str(said)
