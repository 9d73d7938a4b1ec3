from pathlib import Path

import pytest

from redox_balancer.cell.media import load_conditions, pick_condition
from redox_balancer.design.held_out import held_out
from redox_balancer.design.task import Task
from redox_balancer.design.value import Evaluator
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import constructs

KNOWN = load_conditions()
TRAINED = list(KNOWN.values())


def test_held_out_combinations_are_not_what_training_has_shown() -> None:
    """Each differs from both of its parts in growth or in the value of the best single placement."""
    combinations = held_out(TRAINED)
    assert len(combinations) >= 20
    with Evaluator(Task().space()) as evaluator:

        def seen(name: str) -> tuple[float, float]:
            condition = pick_condition(KNOWN, name)
            state = evaluator.space.state(condition)
            singles = [evaluator.evaluate(single, state).value for single in constructs(evaluator.space, 1)]
            return evaluator.reference(state).growth, max(singles)

        parts = {name: seen(name) for name in KNOWN}
        for combination in combinations:
            growth, best = seen(combination.id)
            for part in combination.id.split("+"):
                other_growth, other_best = parts[part]
                apart = abs(growth - other_growth) > 0.01 * other_growth
                assert apart or abs(best - other_best) > 0.01 * other_best, f"{combination.id} is like {part}"


def test_a_training_on_some_conditions_is_asked_about_what_is_made_of_them() -> None:
    some = [KNOWN["hypoxia"], KNOWN["pdh_deficiency"], KNOWN["healthy"]]
    assert [combination.id for combination in held_out(some)] == ["hypoxia+pdh_deficiency"]
    with pytest.raises(RedoxError, match="none of the held-out combinations"):
        held_out([KNOWN["healthy"]])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hypoxia+fever", "unknown condition 'fever'"),
        ("hypoxia", "is no held-out condition"),
        ("hypoxia+healthy", "is no held-out condition"),
    ],
)
def test_a_list_of_ones_own_is_checked(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'[[combination]]\nid = "{name}"\n')
    with pytest.raises(RedoxError, match=said):
        held_out(TRAINED, path)
