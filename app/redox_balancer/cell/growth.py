"""The growth reaction of a COBRApy model: what its objective says, and what is made of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    import cobra

CANDIDATES_SHOWN = 5
_GROWTH = re.compile("biomass|growth", re.IGNORECASE)


def growth_reaction(model: cobra.Model) -> tuple[str, tuple[str, ...]]:
    """Find the growth reaction in the objective of a model, and what the objective says otherwise, one line each.

    Growth is the flux of one reaction, and it is maximised. An objective that says otherwise (a minimum, or a
    coefficient other than 1) is read as the choice of that reaction alone. A RedoxError if it does not consist of
    exactly one reaction.
    """
    from redox_balancer.cell.cobrapy import cobra  # noqa: PLC0415 - takes seconds

    coefficients = cobra.util.solver.linear_reaction_coefficients(model)
    found = {reaction.id: weight for reaction, weight in coefficients.items()}
    if len(found) != 1:
        named = ", ".join(sorted(found)[:CANDIDATES_SHOWN]) or "none"
        raise RedoxError(
            f"model {model.id or 'without id'} needs one objective reaction, it has {len(found)} ({named})",
            hint=f"specify the growth reaction{_candidates(model)}",
            settings=("biomass",),
        )
    ((reaction, weight),) = found.items()
    if model.objective_direction == "min":
        weight = -weight  # the least of -v is the largest v
    if weight == 1.0:
        return reaction, ()
    said = f"has the coefficient {weight:g}" if weight > 0 else "is minimised"
    return reaction, (f"objective {reaction} {said} in the file; its flux is growth here, and maximised",)


def _candidates(model: cobra.Model) -> str:
    names = [r.id for r in model.reactions if _GROWTH.search(r.id) or _GROWTH.search(r.name or "")]
    return f", such as {', '.join(names[:CANDIDATES_SHOWN])}" if names else ""
