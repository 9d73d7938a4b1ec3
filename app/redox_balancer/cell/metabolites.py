"""Charges, formulas and compartments of a model's metabolites, as far as they can be used.

Published models have charges of NaN, as text, for protons 0 and for all metabolites none; formulas of polymers; and
metabolites in no compartment.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redox_balancer.cell.balance import elements
from redox_balancer.cell.repairs import Repairs, UnreadableError, shortened

if TYPE_CHECKING:
    import cobra

KNOWN_CHARGES = {"h": (("H",), 1), "pi": (("HO4P", "HPO4"), -2)}
"""Formulas and charge at pH 7 of metabolites to which published models (BiGG's Recon3D) assign charge 0."""

NO_COMPARTMENT = "unknown"  # compartment of metabolites that have none and whose id names none

_NOTHING = {"", "-", "?", "[]", "n/a", "na", "nan", "none", "null", "unknown"}
_SUFFIX = re.compile(r"[\[(]([a-zA-Z]\w*)[\])]$|_([a-z]{1,2}\d*)$")
_BIGG_COMPARTMENTS = {"c", "e", "f", "g", "h", "i", "im", "l", "m", "n", "p", "r", "s", "u", "v", "x"}


@dataclass(frozen=True)
class Metabolites:
    """What is known of the metabolites of a model, by id; an entry is missing where it is not known.

    Formulas are those whose elements can be counted; every metabolite has a compartment.
    """

    charges: Mapping[str, int]
    formulas: Mapping[str, str]
    compartments: Mapping[str, str]


def metabolites_of(model: "cobra.Model", repairs: Repairs) -> Metabolites:
    """Read charges, formulas and compartments of a COBRApy model, which is not changed.

    An UnreadableError if there are no metabolites or no reactions, or a charge is a text that is no number: the
    modeller has to say which one is meant.
    """
    if not model.metabolites or not model.reactions:
        raise UnreadableError("it contains no reactions", hint="use a metabolic model")
    found = {metabolite.id: _formula(metabolite.id, metabolite.formula, repairs) for metabolite in model.metabolites}
    formulas = {name: formula for name, formula in found.items() if formula}
    return Metabolites(_charges(model, formulas, repairs), formulas, _compartments(model, repairs))


def mend(model: "cobra.Model", repairs: Repairs) -> None:
    """Write what `metabolites_of` finds to the model itself, so that it can be written and read again."""
    known = metabolites_of(model, repairs)
    for metabolite in model.metabolites:
        if known.charges or not isinstance(metabolite.charge, int):
            metabolite.charge = known.charges.get(metabolite.id)
        if not isinstance(metabolite.formula, str):
            metabolite.formula = known.formulas.get(metabolite.id)
        metabolite.compartment = known.compartments[metabolite.id]


def writable(model: "cobra.Model") -> "cobra.Model":
    """The model itself if its metabolites can be written as they are, else a copy that is mended."""

    def is_plain(metabolite: "cobra.Metabolite") -> bool:
        formula, compartment = metabolite.formula, metabolite.compartment
        whole = metabolite.charge is None or type(metabolite.charge) is int
        return whole and isinstance(formula, str | None) and isinstance(compartment, str) and compartment != ""

    if all(map(is_plain, model.metabolites)):
        return model
    copy = model.copy()
    mend(copy, Repairs())
    return copy


def _formula(metabolite: str, value: object, repairs: Repairs) -> str:
    """The formula if its elements can be counted, else nothing."""
    text = "" if value is None else "".join(str(value).split())
    if text.lower() in _NOTHING and text != "Na":
        return ""
    if elements(text):
        return text
    repairs.add("formula that cannot be counted left out of balances", f"{metabolite} ({text})")
    return ""


def _charges(model: "cobra.Model", formulas: Mapping[str, str], repairs: Repairs) -> dict[str, int]:
    found, known, unclear = dict[str, int](), dict[str, int](), list[str]()
    for metabolite in model.metabolites:
        name = metabolite.id
        try:
            charge = _charge(name, metabolite.charge, repairs)
        except (TypeError, ValueError):
            unclear.append(f"{metabolite.charge!r} of {name}")
            continue
        correct = _known_charge(name, formulas.get(name, ""))
        if correct is not None and not charge:
            known[name] = correct
        elif charge is not None:
            found[name] = charge
    if unclear:
        raise UnreadableError(
            f"charges that are no numbers: {shortened(unclear)}",
            hint="write one whole number each, or none where it is not known",
        )
    if not any(charge for name, charge in found.items() if _known_charge(name, formulas.get(name, "")) is None):
        repairs.add("the model has no charges, so balances are those of the elements")
        return {}
    for name, charge in known.items():
        repairs.add(f"charge {charge:+d} instead of 0 or none", name)
    return found | known


def _charge(metabolite: str, value: object, repairs: Repairs) -> int | None:
    """A charge as a whole number, None if there is none; a ValueError or a TypeError for anything else."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, str) and value.strip().lower() in _NOTHING:
        return None
    number = float(value)  # type: ignore[arg-type]
    if not number.is_integer():
        finite = math.isfinite(number)
        kind, where = ("whole", f"{metabolite} ({number:g})") if finite else ("finite", metabolite)
        repairs.add(f"charge that is no {kind} number left out", where)
        return None
    if isinstance(value, str):
        repairs.add("charge written as text read as a number", metabolite)
    return int(number)


def _known_charge(metabolite: str, formula: str) -> int | None:
    """Correct charge of a metabolite in `KNOWN_CHARGES`; None for any other."""
    suffix = _SUFFIX.search(metabolite)
    species = metabolite[: suffix.start()] if suffix else metabolite.rpartition("_")[0]
    formulas, charge = KNOWN_CHARGES.get(species, ((), 0))
    return charge if formula in formulas else None


def _compartments(model: "cobra.Model", repairs: Repairs) -> dict[str, str]:
    """Compartment of every metabolite; one that has none is in that which its id names, if there is such a one."""
    own = {m.id: "" if m.compartment is None else str(m.compartment).strip() for m in model.metabolites}
    known = {*own.values(), *map(str, model.compartments)} - {""}
    for name, compartment in own.items():
        if compartment:
            continue
        suffix = _SUFFIX.search(name)
        named = (suffix[1] or suffix[2]) if suffix else ""
        if suffix and (suffix[1] or named in known or named in _BIGG_COMPARTMENTS):
            repairs.add("no compartment, set to that in the id", name)
        else:
            named = NO_COMPARTMENT
            repairs.add(f"no compartment, set to {named}", name)
        own[name] = named
    return own
