"""Conditions in the terms of a model: its own bounds, what they open, and which are used where none is named."""

import math
from collections.abc import Iterable

from redox_balancer.cell.conditions import Change, Condition, Offered, Side
from redox_balancer.cell.network import Network
from redox_balancer.errors import RedoxError

GENOME_SCALE = 1000  # reactions from which a model counts as genome-scale


def opened(network: Network, conditions: Iterable[Condition]) -> Network:
    """Return a network in which every bound that some condition opens is as wide as it can become, or wider.

    It serves to find what can run. An opened bound is the next power of ten, since rational arithmetic on measured
    rates takes long on a genome-scale model.
    """
    bounds: dict[str, tuple[float, float]] = {}
    opening = (change for condition in conditions for change in condition.changes if change.opens)
    for change in (every for one in opening for every in (one, *one.leaving)):
        own = change.of(network)
        if own.high and not own.missing_from(network):
            own = own.model_copy(update={"high": 10.0 ** math.ceil(math.log10(own.high))})
            bounds[own.reaction] = own.widened(*(bounds.get(own.reaction) or network.bounds_of(own.reaction)))
    return network.with_bounds(bounds) if bounds else network


def in_own_terms(network: Network, conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return conditions with a model's own reaction ids; a RedoxError if it lacks one, or as in `Change.of`."""
    conditions = tuple(conditions)
    for condition in conditions:
        if missing := condition.missing_from(network):
            raise RedoxError(
                f"condition {condition.id!r} needs {missing[0]!r}, which model {network.id} lacks",
                hint="choose other conditions",
                settings=("conditions",),
            )
    return tuple(condition.of(network) for condition in conditions)


def changed_bounds(conditions: Iterable[Condition]) -> tuple[Change, ...]:
    """Each bound that some condition changes, with the range of what opens it."""
    found: dict[tuple[str, Side], Change] = {}
    for change in (change for condition in conditions for change in condition.changes):
        known = found.get(change.key, change)
        # Observations of runs without openings scale a limit by the last condition's range.
        widest = {"opens": True, "high": max(change.high, known.high)}
        found[change.key] = change.model_copy(update=widest) if known.opens or change.opens else change
    return tuple(found.values())


def fitting_conditions(known: Iterable[Condition], network: Network) -> tuple[list[Condition], list[str]]:
    """Conditions that a model allows, and a line about each that it does not, one for all that lack a reaction."""
    fitting, lacking, lines = [], [], []
    for condition in known:
        if missing := condition.missing_from(network):
            lacking.append(f"{condition.id} ({', '.join(missing)})")
            continue
        try:
            condition.of(network)
        except RedoxError as error:
            lines.append(f"condition {condition.id} is left out: {error.message}")
        else:
            fitting.append(condition)
    if lacking:
        lines.append(f"conditions left out, the model lacks reactions of theirs: {', '.join(lacking)}")
    return fitting, lines


def offered_conditions(known: Iterable[Condition], network: Network) -> tuple[list[Condition], list[str]]:
    """Conditions that are used where none is named, as `fitting_conditions` returns them."""
    of_size = {Offered.ALWAYS, Offered.GENOME_SCALE if len(network.reactions) >= GENOME_SCALE else Offered.ALWAYS}
    return fitting_conditions([condition for condition in known if condition.offered in of_size], network)
