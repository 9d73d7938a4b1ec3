"""The task of a run: its fields, and the names they had in version 0.1."""

from typing import Any

import pytest

from redox_balancer.design.settings import RENAMED_FIELDS
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError


def test_every_field_has_a_description_and_old_names_are_read() -> None:
    assert all(field.description for field in Task.model_fields.values())
    assert set(RENAMED_FIELDS.values()) <= set(Task.model_fields)
    written_by_0_1 = {"placements": 3, "sampling": "mixed", "uncertain": 8, "untold": True}
    assert Task.model_validate(written_by_0_1) == Task(
        placements=3, sampling="mixed", parameter_samples=8, hidden_condition=True
    )


@pytest.mark.parametrize(
    ("settings", "message", "about"),
    [
        ({"placements": 11}, "placements = 11", ("placements",)),
        ({"budget": float("nan")}, "budget = nan", ("budget",)),
        ({"saturation": 0.0}, "saturation = 0.0", ("saturation",)),
        ({"reward": "gold"}, "reward = gold", ("reward",)),
        ({"colour": "green"}, "no setting colour", ()),
    ],
)
def test_a_setting_out_of_its_limits_is_named(settings: dict[str, Any], message: str, about: tuple[str]) -> None:
    with pytest.raises(RedoxError, match=message) as refused:
        Task(**settings)
    assert refused.value.settings == about
    assert refused.value.hint
