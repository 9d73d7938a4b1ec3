"""Evaluates IAM policies: actions and resources with wildcards, conditions, principals of resource policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
moto's own authorisation compares resources with `*` only and ignores most conditions.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Statement = Mapping[str, Any]
Values = str | Sequence[str]


@dataclass(frozen=True)
class Request:
    """One action on one resource; an API call may need several."""

    action: str  # like ec2:StopInstances
    resource: str  # its ARN, or * where the action supports none
    context: Mapping[str, Values] = field(default_factory=dict)  # condition keys

    def __str__(self) -> str:
        """Return what AWS says of it where it is not allowed."""
        return f"{self.action} on resource: {self.resource}"


def allowing(statements: Sequence[Statement], request: Request, *, service: str = "") -> list[int]:
    """Return the positions of the statements that allow a request, none where one denies it.

    `service` is the principal that a resource policy names; empty for a policy of a principal's own.
    """
    found = [at for at, each in enumerate(statements) if _applies(each, request, service)]
    if any(statements[at]["Effect"] == "Deny" for at in found):
        return []
    return found


def listed(given: Any) -> list[Any]:
    """Return an element of a policy as a list."""
    return list(given) if isinstance(given, list | tuple) else [given]


def _applies(statement: Statement, request: Request, service: str) -> bool:
    known = {key.lower(): listed(value) for key, value in request.context.items()}
    return (
        (not service or bool({"*", service} & set(_principals(statement["Principal"]))))
        and any(_like(each.lower(), request.action.lower()) for each in listed(statement["Action"]))
        and any(_like_arn(each, request.resource) for each in listed(statement["Resource"]))
        and all(_meets(name, wanted, known) for name, wanted in statement.get("Condition", {}).items())
    )


def _principals(given: Any) -> list[str]:
    return [each for values in (given.values() if isinstance(given, dict) else [given]) for each in listed(values)]


def _like(pattern: str, value: str) -> bool:
    """Compare with the wildcards of IAM, * and ?, which stand for any text and any character."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.DOTALL) is not None


def _like_arn(pattern: str, value: str) -> bool:
    """Compare ARNs, each of the six parts by itself; * alone is any resource."""
    if pattern == "*":
        return True
    parts, of_value = pattern.split(":", 5), value.split(":", 5)
    return len(parts) == len(of_value) and all(map(_like, parts, of_value))


COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__,
    "StringNotEquals": str.__ne__,
    "StringLike": _like,
    "ArnEquals": _like_arn,
    "ArnLike": _like_arn,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
}


def _meets(name: str, wanted: Mapping[str, Any], known: Mapping[str, list[str]]) -> bool:
    """Whether a condition holds for all of its keys."""
    quantifier, _, operator = name.rpartition(":")
    optional = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    if operator == "Null":
        return all((key.lower() not in known) is (str(each).lower() == "true") for key, each in wanted.items())
    if operator not in COMPARISONS:
        raise ValueError(f"no rule for the condition {name}")
    compare, negated = COMPARISONS[operator], "Not" in operator

    def holds(value: str, choices: list[Any]) -> bool:
        return (all if negated else any)(compare(str(each), value) for each in choices)

    def met(key: str, choices: list[Any]) -> bool:
        values = known.get(key.lower())
        if values is None:  # a key that the request lacks
            return optional or negated or quantifier == "ForAllValues"
        return (all if quantifier == "ForAllValues" else any)(holds(value, choices) for value in values)

    return all(met(key, listed(choices)) for key, choices in wanted.items())
