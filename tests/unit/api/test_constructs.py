"""Constructs by the names of their placements."""

import pickle

import pytest

import redox_balancer as rb

TEXT = "LBNOX_c 0.1 % + AOX_m 0.03 %"


@pytest.mark.parametrize(
    "placements",
    [
        TEXT,
        "LBNOX_c=0.001,AOX_m=0.0003",
        {"LBNOX_c": 0.001, "AOX_m": 0.0003},
        [("LBNOX_c", 0.001), ("AOX_m", 0.0003)],
        rb.NamedConstruct(TEXT),
    ],
)
def test_texts_mappings_and_pairs_are_the_same_construct(placements: object) -> None:
    construct = rb.NamedConstruct(placements)  # type: ignore[arg-type]
    assert str(construct) == TEXT
    assert dict(construct) == {"LBNOX_c": 0.001, "AOX_m": 0.0003}
    assert construct == rb.NamedConstruct(TEXT)
    assert hash(construct) == hash(rb.NamedConstruct(TEXT))
    assert eval(repr(construct), {"NamedConstruct": rb.NamedConstruct}) == construct  # noqa: S307
    assert pickle.loads(pickle.dumps(construct)) == construct  # noqa: S301


def test_nothing_is_the_empty_construct() -> None:
    assert str(rb.NamedConstruct()) == str(rb.NamedConstruct("nothing")) == "nothing"
    assert rb.evaluate(rb.Task(), "nothing", "hypoxia").value == 0.0


@pytest.mark.parametrize(
    ("placements", "message"),
    [
        ("LBNOX_c lots", "LBNOX_c"),
        ("LBNOX_c", "cannot read"),
        ({"LBNOX_c": 1.5}, "between 0 and 1"),
        ([("LBNOX_c", 0.001), ("LBNOX_c", 0.001)], "twice"),
    ],
)
def test_what_is_no_construct_is_refused(placements: object, message: str) -> None:
    with pytest.raises(rb.RedoxError, match=message) as refused:
        rb.NamedConstruct(placements)  # type: ignore[arg-type]
    assert refused.value.hint
    assert "--" not in refused.value.hint
