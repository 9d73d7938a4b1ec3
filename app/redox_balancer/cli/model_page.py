"""The sections of `redox model info` as text: a line or a few for each question."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from redox_balancer.cell.repairs import shortened

LABEL_WIDTH = 19
LIMITS_SHOWN = 5
ALONE = 0.999  # share of growth from which on a bound accounts for it alone


def page_lines(section: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a section of `model_info`, each question with its label."""
    rows = next(rows for key, rows in _ROWS.items() if key in section)
    for label, text in rows(section).items():
        for number, line in enumerate(text.splitlines() or ["none"]):
            yield f"{'' if number else label:<{LABEL_WIDTH}}{line}"


def alone(limit: Mapping[str, Any]) -> str:
    """What is to be said of a bound that growth rests on alone: that growth is a quotient of two given numbers."""
    if limit["share"] < ALONE or "quotient" not in limit:
        return ""
    return f", / {limit['coefficient']:.4g} in biomass = {limit['quotient']:.5f} 1/h: a division, not a prediction"


def _size(section: Mapping[str, Any]) -> dict[str, str]:
    sizes = ", ".join(f"{section[key]:,} {key}" for key in ("reactions", "metabolites", "genes"))
    rows = {
        "model": f"{section['model']}: {sizes}",
        "objective": f"{section['objective']}, {section['sense']}",
        "repairs": "\n".join(section["repairs"]),
    }
    return rows | ({"curation": "\n".join(section["curation"])} if section["curation"] else {})


def _growth(section: Mapping[str, Any]) -> dict[str, str]:
    status = "" if section["status"] == "optimal" else f" ({section['status']})"
    measured = section["measured_growth"]
    measured = "" if measured is None else f", measured {measured:g} 1/h"
    rows = {"growth": f"{section['growth']:.7g} 1/h on medium {section['medium']}{status}{measured}"}
    native = section["native_growth"]
    if native is not None and not math.isclose(native, section["growth"], rel_tol=1e-6, abs_tol=1e-9):
        rows["growth"] += f"\n{native:.7g} 1/h within the limits of native enzymes, which designs and diagnoses have"
    if section["limits"]:
        rows["limited by"] = "\n".join(
            f"{limit['name']}, {limit['bound']} {limit['value']:g}: {limit['share']:.1%} of growth" + alone(limit)
            for limit in section["limits"][:LIMITS_SHOWN]
        )
    return rows


def _exchanges(section: Mapping[str, Any]) -> dict[str, str]:
    ways = ", ".join(f"{count:,} {notation}" for notation, count in section["notations"].items()) or "none"
    rows = {
        "exchanges": f"{section['exchanges']:,}, by metabolite: {ways}",
        "sinks and demands": f"{section['sinks_and_demands']:,}",
        "not recognised": shortened(section["unrecognised_exchanges"]),
        "not in the model": shortened(section["not_in_model"]),
    }
    return {label: text for label, text in rows.items() if text}


def _oxygen(section: Mapping[str, Any]) -> dict[str, str]:
    unit = section["unit_problem"] or f"a value of 1 is {section['unit']:g} mmol NAD(P)H/gDW/h"
    uptake = section["oxygen_uptake"]
    return {"oxygen": f"uptake {'unlimited' if uptake is None else f'{uptake:g} mmol/gDW/h'}; {unit}"}


def _balance(section: Mapping[str, Any]) -> dict[str, str]:
    named = f": {shortened(list(section['imbalanced_reactions']))}" if section["imbalanced"] else ""
    return {
        "balance": f"{section['imbalanced']:,} reactions are not balanced{named}\n"
        f"{section['without_formula']:,} metabolites without formula, {section['without_charge']:,} without charge"
    }


def _placements(section: Mapping[str, Any]) -> dict[str, str]:
    fitting = f"{len(section['conditions'])} fit: {', '.join(section['conditions']) or 'none'}"
    rows = {"conditions": "\n".join((fitting, *section["conditions_left_out"]))}
    if section["placements_problem"]:
        return rows | {"placements": section["placements_problem"]}
    fit = f"{len(section['placements'])} fit: {', '.join(section['placements'])}"
    reasons = ", ".join(f"{count} {reason}" for reason, count in section["excluded"].items())
    return rows | {"placements": f"{fit}\nexcluded: {reasons or 'none'}"}


def _cycles(section: Mapping[str, Any]) -> dict[str, str]:
    count = section["free_loops"]
    stopped = f"not known: the search was stopped after {section['cycle_limit_s']:g} s"
    return {"infeasible cycles": stopped if count is None else f"{count:,} reactions"}


_ROWS = {
    "sense": _size,
    "growth": _growth,
    "notations": _exchanges,
    "oxygen_uptake": _oxygen,
    "imbalanced": _balance,
    "placements": _placements,
    "free_loops": _cycles,
}
"""Rows of each section, by a key that it alone has."""
