"""Constructs as people write them."""

import pytest

from redox_balancer.design.named_construct import NamedConstruct, build_construct, build_constructs
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
def test_a_construct_is_read_in_percent_and_as_fractions(text: str) -> None:
    assert NamedConstruct(text) == pytest.approx({"LBNOX_c": 1e-3, "AOX_m": 3e-4})


def test_a_construct_of_pairs_or_a_mapping_prints_as_it_is_written() -> None:
    pairs = [("LBNOX_c", 1e-3), ("NDI1_m", 3e-4)]
    construct = NamedConstruct(pairs)
    assert construct == NamedConstruct(dict(pairs)) == NamedConstruct(str(construct))
    assert str(construct) == "LBNOX_c 0.1 % + NDI1_m 0.03 %"
    assert repr(construct) == "NamedConstruct('LBNOX_c 0.1 % + NDI1_m 0.03 %')"
    assert {construct: 1}[NamedConstruct(reversed(pairs))] == 1


def test_the_empty_construct_is_one_too() -> None:
    assert str(NamedConstruct()) == "nothing"
    assert NamedConstruct("nothing") == NamedConstruct() == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LBNOX_c", "cannot read"),
        ("", "cannot read"),
        ("LBNOX_c 0.1 % +", "cannot read"),
        ("LBNOX_c much", "not a proteome fraction"),
        ("LBNOX_c nan", "not a proteome fraction"),
        ("LBNOX_c 0", "not a proteome fraction"),
        ("LBNOX_c=-0.1", "not a proteome fraction"),
        ("LBNOX_c 100 %", "not a proteome fraction"),
        ("LBNOX_c 0.1 % + LBNOX_c 0.2 %", "twice"),
    ],
)
def test_any_other_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(RedoxError, match=message) as refused:
        NamedConstruct(text)
    assert refused.value.hint


def test_pairs_are_checked_as_well() -> None:
    with pytest.raises(RedoxError, match="AOX_m: 1 is not a proteome fraction"):
        NamedConstruct({"AOX_m": 1.0})


def test_the_capacity_of_an_enzyme_is_proportional_to_its_fraction(space: DesignSpace) -> None:
    own, construct = build_construct(space, {"LBNOX_c": 1e-3, "AOX_m": 2e-4})
    rows = {row["placement"]: row for row in own.describe(construct)}
    ours = {placement.id: placement for placement in space.placements}
    assert rows["LBNOX_c"]["flux_cap_mmol_gdw_h"] == pytest.approx(ours["LBNOX_c"].caps[space.levels.index(1e-3)])
    assert rows["AOX_m"]["flux_cap_mmol_gdw_h"] == pytest.approx(2 * ours["AOX_m"].caps[space.levels.index(1e-4)])
    assert own.protein(construct) == pytest.approx(1.2e-3)


def test_several_constructs_share_a_design_space(space: DesignSpace) -> None:
    texts = ["LBNOX_c 0.1 %", "nothing", "AOX_m 0.02 % + LBNOX_c 0.05 %"]
    own, constructs = build_constructs(space, [NamedConstruct(text) for text in texts])
    assert own.levels == (2e-4, 5e-4, 1e-3)
    assert [NamedConstruct.of(own, construct) for construct in constructs] == [NamedConstruct(text) for text in texts]


def test_an_unknown_placement_lists_the_known_ones(space: DesignSpace) -> None:
    with pytest.raises(RedoxError, match="'LBNOX_x'") as refused:
        build_construct(space, {"LBNOX_x": 1e-3})
    assert "LBNOX_c" in refused.value.hint


def test_a_construct_of_half_the_proteome_is_refused(space: DesignSpace) -> None:
    with pytest.raises(RedoxError, match="leaves no protein to grow with"):
        build_construct(space, {"LBNOX_c": 0.3, "AOX_m": 0.2})
