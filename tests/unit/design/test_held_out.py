from pathlib import Path

import pytest

from redox_balancer.cell.choice import offered_conditions
from redox_balancer.cell.conditions import load_conditions, pick_condition
from redox_balancer.cell.models import load_network
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.held_out import held_out, mixtures
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import constructs

KNOWN = {one.id: one for one in offered_conditions(load_conditions().values(), load_network())[0]}
TRAINED = list(KNOWN.values())


def test_held_out_combinations_are_not_what_training_has_shown() -> None:
    """Each differs from both of its parts in growth or in the value of the best single placement."""
    combinations = held_out(TRAINED)
    assert len(combinations) >= 20
    with Evaluator(Task().space()) as evaluator:

        def seen(name: str) -> tuple[float, float]:
            condition = pick_condition(KNOWN, name)
            singles = [evaluator.evaluate(single, condition).value for single in constructs(evaluator.space, 1)]
            return evaluator.reference(condition).growth, max(singles)

        parts = {name: seen(name) for name in KNOWN}
        for combination in combinations:
            growth, best = seen(combination.id)
            for part in combination.id.split("+"):
                other_growth, other_best = parts[part]
                apart = abs(growth - other_growth) > 0.01 * other_growth
                assert apart or abs(best - other_best) > 0.01 * other_best, f"{combination.id} is like {part}"


def test_a_training_on_some_conditions_is_evaluated_on_their_combinations() -> None:
    some = [KNOWN["hypoxia"], KNOWN["pdh_deficiency"], KNOWN["healthy"]]
    assert [combination.id for combination in held_out(some)] == ["hypoxia+pdh_deficiency"]
    with pytest.raises(RedoxError, match="none of the held-out combinations"):
        held_out([KNOWN["healthy"]])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hypoxia+fever", "unknown condition 'fever'"),
        ("hypoxia", "is not a held-out condition"),
        ("hypoxia+healthy", "is not a held-out condition"),
    ],
)
def test_a_list_of_the_users_own_is_checked(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'[[combination]]\nid = "{name}"\n')
    with pytest.raises(RedoxError, match=said):
        held_out(TRAINED, path)


def test_mixtures_show_no_held_out_combination() -> None:
    mixed = mixtures(TRAINED)
    kept_apart = [{change.key for change in combination.changes} for combination in held_out(TRAINED)]
    assert {len(mixture.id.split("+")) for mixture in mixed} == {2, 3}
    assert len({frozenset(change.key for change in mixture.changes) for mixture in mixed}) == len(mixed) > 20
    for mixture in mixed:
        lowered = {change.key for change in mixture.changes}
        assert not any(keys <= lowered for keys in kept_apart), mixture.id
        assert not any(lowered == {change.key for change in condition.changes} for condition in TRAINED), mixture.id
    assert [m.id for m in mixtures([KNOWN["healthy"], KNOWN["hypoxia"], KNOWN["gpd2_deficiency"]])] == [
        "hypoxia+gpd2_deficiency"
    ]


def test_a_list_of_the_users_own_may_not_name_a_mixture_of_the_training(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[combination]]\nid = "hypoxia+gpd2_deficiency"\n')
    assert len(held_out(TRAINED, path)) == 1
    with pytest.raises(RedoxError, match="it was part of the training"):
        held_out(TRAINED, path, mixed=mixtures(TRAINED))


def test_combined_conditions_lower_every_bound_to_the_lower_limit() -> None:
    known = load_conditions()
    both = pick_condition(known, "hypoxia_ldha_deficiency+hypoxia")
    assert {change.key: change.value for change in both.changes} == {
        change.key: change.value for change in known["hypoxia_ldha_deficiency"].changes
    }
    three = pick_condition(known, "hypoxia+mdh1_deficiency+pdh_deficiency")
    assert [change.reaction for change in three.changes] == ["EX_o2_e", "MDH", "PDHm"]
