import pytest

from redox_balancer.cell.equation import parse_equation
from redox_balancer.errors import RedoxError


def test_equations_are_read_with_signs_and_coefficients() -> None:
    assert parse_equation("2 h_c + o2_c --> 0.5 h2o_c") == {"h_c": -2.0, "o2_c": -1.0, "h2o_c": 0.5}
    assert parse_equation("o2_e <=>") == {"o2_e": -1.0}


@pytest.mark.parametrize("equation", ["a_c b_c", "a_c => b_c", "-1 a_c --> b_c", "nan a_c --> b_c", "a_c --> a_c"])
def test_an_unreadable_equation_is_named(equation: str) -> None:
    with pytest.raises(RedoxError, match="equation"):
        parse_equation(equation)
