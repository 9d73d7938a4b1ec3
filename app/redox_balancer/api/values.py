"""Values of constructs under conditions."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Self

from redox_balancer.api.inputs import require_task
from redox_balancer.cell.conditions import HEALTHY, Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator, Outcome
from redox_balancer.design.named_construct import ConstructLike, NamedConstruct, build_constructs
from redox_balancer.design.task import Task
from redox_balancer.designer.proposal import find_condition

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evaluation:
    """A construct under a condition, and its value.

    Attributes
    ----------
    construct, condition
        The construct, and the id of the condition.
    value
        In healthy respirations: capacity over twice the healthy oxygen uptake, plus `rescue`, less a penalty where
        growth is lost. The empty construct is worth 0. With another reward or parameter samples it is the
        value by that task; with `Task(reward="rescue")` a share of healthy growth.
    growth, growth_without, healthy_growth
        Largest growth with the construct, after the cost of expression, without it, and of the healthy cell or the
        cell line alone, 1/h.
    capacity
        NAD(P)H that the inserted reactions can consume with growth at its floor, less the price of H2O2, mmol/gDW/h;
        0 with `Task(reward="rescue")`, which does not count it.
    rescue
        Share of healthy growth that the construct restores.
    protein
        Share of the proteome that the construct takes.
    within_budget
        Whether it is within both protein budgets of the task.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> evaluation = rb.evaluate(rb.Task(), "LBNOX_c 0.1 %", "complex_iii_closed")
    >>> round(evaluation.value, 4), round(evaluation.capacity, 4), evaluation.within_budget
    (0.5822, 1.0037, True)
    """

    construct: NamedConstruct
    condition: str
    value: float
    growth: float
    capacity: float
    rescue: float
    growth_without: float
    healthy_growth: float
    protein: float
    within_budget: bool

    def __str__(self) -> str:
        outcome = Outcome(self.value, self.growth, self.capacity, self.rescue)
        return f"{self.condition}: {self.construct}, {outcome}"

    @classmethod
    def of(cls, evaluator: Evaluator, construct: Construct, condition: Condition) -> Self:
        """Evaluate a construct of the evaluator's own design space."""
        space = evaluator.space
        outcome, reference = evaluator.evaluate(construct, condition), evaluator.reference(condition)
        return cls(
            construct=NamedConstruct.of(space, construct),
            condition=condition.id,
            **asdict(outcome),
            growth_without=reference.growth,
            healthy_growth=reference.healthy_growth,
            protein=space.protein(construct),
            within_budget=space.affordable(construct),
        )


class EvaluationTable(tuple[Evaluation, ...]):
    """Evaluations, as a sequence and as a table.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> table = rb.evaluate_all(rb.Task(), ["LBNOX_c 0.1 %", "NDI1_m 0.03 %"], ["healthy", "hypoxia"])
    >>> table.to_frame().pivot(index="construct", columns="condition", values="value").round(3)
    condition      healthy  hypoxia
    construct
    LBNOX_c 0.1 %    0.435    0.016
    NDI1_m 0.03 %    0.119    0.040
    >>> print(max(table, key=lambda evaluation: evaluation.value).construct)
    LBNOX_c 0.1 %
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def to_frame(self) -> "pd.DataFrame":
        """Table with a row for each evaluation, a column for each attribute of `Evaluation`; constructs as text."""
        import pandas as pd  # noqa: PLC0415 - half a second

        rows = [vars(each) | {"construct": str(each.construct)} for each in self]
        return pd.DataFrame(rows, columns=[field.name for field in fields(Evaluation)])


def evaluate(task: Task, construct: ConstructLike, condition: str = HEALTHY) -> Evaluation:
    """Evaluate a construct under a condition.

    Parameters
    ----------
    task
        The cell, its library and budgets. The construct may exceed the budgets and `task.placements`, and its
        fractions need not be levels of the task.
    construct
        See `NamedConstruct`.
    condition
        Id of a condition of the task, `a+b` for two at once.

    Raises
    ------
    RedoxError
        A placement or the condition is unknown, the construct cannot be read, or the cell does not grow.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> task = rb.Task(medium="model", conditions=["healthy", "complex_iii_closed"])
    >>> print(rb.evaluate(task, "LBNOX_c 0.1 %", "complex_iii_closed"))
    complex_iii_closed: LBNOX_c 0.1 %, value 0.5822, growth 0.00679 1/h, capacity 1.0037 mmol/gDW/h
    """
    return evaluate_all(task, [construct], [condition])[0]


def evaluate_all(
    task: Task, constructs: Iterable[ConstructLike], conditions: Iterable[str] | None = None
) -> EvaluationTable:
    """Evaluate several constructs under several conditions, which loads the model once.

    Parameters
    ----------
    task, constructs
        As in `evaluate`; a text or a mapping is one construct.
    conditions
        Ids of conditions of the task, or a single one; all of them by default.

    Returns
    -------
    EvaluationTable
        Each construct under each condition, in the order given.

    Raises
    ------
    RedoxError
        As in `evaluate`.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> task = rb.Task(conditions="complex_iii_closed")
    >>> for evaluation in rb.evaluate_all(task, ["LBNOX_c 0.1 %", {"LBNOX_c": 0.001, "AOX_m": 0.0003}]):
    ...     print(evaluation)
    complex_iii_closed: LBNOX_c 0.1 %, value 0.5822, growth 0.00679 1/h, capacity 1.0037 mmol/gDW/h
    complex_iii_closed: LBNOX_c 0.1 % + AOX_m 0.03 %, value 0.6476, growth 0.01230 1/h, capacity 1.0037 mmol/gDW/h
    """
    if isinstance(constructs, str | Mapping):
        constructs = [constructs]
    if isinstance(conditions, str):
        conditions = [conditions]
    named = [NamedConstruct(construct) for construct in constructs]
    space, built = build_constructs(require_task(task).space(), named)
    chosen = (
        space.conditions if conditions is None else [find_condition(space, condition) for condition in conditions]
    )
    with Evaluator(space) as evaluator:
        return EvaluationTable(
            Evaluation.of(evaluator, construct, condition) for construct in built for condition in chosen
        )
