import pytest

from redox_balancer.design.by_hand import by_hand, parse_construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError


@pytest.mark.parametrize(
    "text",
    [
        "LBNOX_c 0.1 % + AOX_m 0.03 %",
        "LBNOX_c 0.1%+AOX_m 0.03%",
        "LBNOX_c=0.001,AOX_m=0.0003",
        " LBNOX_c = 1e-3 ; AOX_m = 3e-4 ",
    ],
)
def test_a_construct_is_read_as_the_tables_print_it_and_as_shares(text: str) -> None:
    assert parse_construct(text) == pytest.approx({"LBNOX_c": 1e-3, "AOX_m": 3e-4})


def test_nothing_is_a_construct_too() -> None:
    assert parse_construct("nothing") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LBNOX_c", "cannot read"),
        ("", "cannot read"),
        ("LBNOX_c 0.1 % +", "cannot read"),
        ("LBNOX_c much", "no share"),
        ("LBNOX_c nan", "no share"),
        ("LBNOX_c 0", "no share"),
        ("LBNOX_c=-0.1", "no share"),
        ("LBNOX_c 100 %", "no share"),
        ("LBNOX_c 0.1 % + LBNOX_c 0.2 %", "twice"),
    ],
)
def test_what_is_no_construct_is_refused(text: str, said: str) -> None:
    with pytest.raises(RedoxError, match=said) as refused:
        parse_construct(text)
    assert refused.value.hint


def test_shares_that_are_no_levels_buy_flux_in_proportion(space: DesignSpace) -> None:
    own, construct = by_hand(space, {"LBNOX_c": 1e-3, "AOX_m": 2e-4})
    rows = {row["placement"]: row for row in own.describe(construct)}
    ours = {placement.id: placement for placement in space.placements}
    assert rows["LBNOX_c"]["flux_cap_mmol_gdw_h"] == pytest.approx(ours["LBNOX_c"].caps[space.levels.index(1e-3)])
    assert rows["AOX_m"]["flux_cap_mmol_gdw_h"] == pytest.approx(2 * ours["AOX_m"].caps[space.levels.index(1e-4)])
    assert own.protein(construct) == pytest.approx(1.2e-3)


def test_an_unknown_placement_lists_the_known_ones(space: DesignSpace) -> None:
    with pytest.raises(RedoxError, match="'LBNOX_x'") as refused:
        by_hand(space, {"LBNOX_x": 1e-3})
    assert "LBNOX_c" in refused.value.hint


def test_a_construct_of_half_the_proteome_is_refused(space: DesignSpace) -> None:
    with pytest.raises(RedoxError, match="leaves none"):
        by_hand(space, {"LBNOX_c": 0.3, "AOX_m": 0.2})
