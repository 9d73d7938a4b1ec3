"""Faults of published models: each is written into the toy cell, and is mended and named, or refused in one line."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cobra
import pytest
from cobra.io.dict import model_to_dict

from redox_balancer.cell.balance import elements, imbalanced_reactions
from redox_balancer.cell.core import core_model
from redox_balancer.cell.models import load_model, load_network, save_model, to_network
from refusals import refused
from toy_cell import GROWTH, growth_of, toy_cell

Document = dict[str, Any]
Quirk = Callable[[Document], object]


@pytest.fixture(scope="module")
def pristine() -> Document:
    return json.loads(json.dumps(model_to_dict(toy_cell())))  # type: ignore[no-any-return]


@pytest.fixture
def document(pristine: Document) -> Document:
    return copy.deepcopy(pristine)


def written(folder: Path, document: object) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def entry(document: Document, name: str) -> Document:
    found = [one for kind in ("metabolites", "reactions") for one in document[kind] if one["id"] == name]
    return found[0]  # type: ignore[no-any-return]


def metabolite(name: str, **values: object) -> Quirk:
    return lambda document: entry(document, name).update(values)


reaction = metabolite


def without(kind: str, key: str) -> Quirk:
    return lambda document: [one.pop(key, None) for one in document[kind]]


def everywhere(kind: str, key: str, value: object) -> Quirk:
    return lambda document: [one.update({key: value}) for one in document[kind]]


def renamed(old: str, new: object) -> Quirk:
    def apply(document: Document) -> None:
        entry(document, old)["id"] = new
        for one in document["reactions"]:
            if old in one["metabolites"]:
                one["metabolites"][str(new)] = one["metabolites"].pop(old)

    return apply


MENDED: dict[str, tuple[Quirk, str]] = {
    "annotations of null": (metabolite("pyr_c", annotation={"bigg.metabolite": None}), ""),
    "no annotations or notes": (everywhere("reactions", "notes", None), ""),
    "old annotations": (metabolite("pyr_c", annotation=[["bigg.metabolite", "pyr"]]), ""),
    "an annotation of text": (metabolite("pyr_c", annotation="pyr"), "annotation that is no object left out: pyr_c"),
    "charge NaN": (metabolite("pyr_c", charge=float("nan")), "charge that is no finite number left out: pyr_c"),
    "charge of nothing": (metabolite("pyr_c", charge="null"), ""),
    "charge as text": (metabolite("pyr_c", charge="-1"), "charge written as text read as a number: pyr_c"),
    "charge 0.5": (metabolite("pyr_c", charge=-0.5), "charge that is no whole number left out: pyr_c (-0.5)"),
    "charge -1.0": (metabolite("pyr_c", charge=-1.0), ""),
    "no charges": (without("metabolites", "charge"), "no charges, so balances are those of the elements"),
    "charges of 0": (everywhere("metabolites", "charge", 0), "the model has no charges"),
    "an adduct": (metabolite("pyr_c", formula="C3H3O3P.Na"), ""),
    "a polymer": (metabolite("pyr_c", formula="(C3H3O3)n"), "left out of balances: pyr_c ((C3H3O3)n)"),
    "a number as formula": (metabolite("pyr_c", formula=12), "cannot be counted left out of balances: pyr_c (12)"),
    "a lower-case formula": (metabolite("pyr_c", formula="c3h3o3"), "left out of balances: pyr_c (c3h3o3)"),
    "a formula of null": (metabolite("pyr_c", formula="null"), ""),
    "no compartment": (metabolite("pyr_c", compartment=None), "no compartment, set to that in the id: pyr_c"),
    "no compartments": (without("metabolites", "compartment"), "no compartment, set to that in the id: glc__D_e"),
    "a rule with brackets": (reaction("GLYC", gene_reaction_rule="foo-bar[c]"), "kept as a note: GLYC"),
    "a rule hidden by or": (reaction("GLYC", gene_reaction_rule="a or b[c]"), "kept as a note: GLYC"),
    "an open rule": (reaction("GLYC", gene_reaction_rule="(a and b"), "kept as a note: GLYC"),
    "a rule cut short": (reaction("GLYC", gene_reaction_rule="a or"), "kept as a note: GLYC"),
    "a call as rule": (reaction("GLYC", gene_reaction_rule="a (b)"), "kept as a note: GLYC"),
    "a rule of a number": (reaction("GLYC", gene_reaction_rule=1234), ""),
    "a rule of Greek genes": (reaction("GLYC", gene_reaction_rule="λ and μ-2"), ""),
    "no rule": (reaction("GLYC", gene_reaction_rule=None), ""),
    "numeric id": (renamed("pyr_c", 17), "id that is no text read as text: 17"),
    "id with blanks": (renamed("pyr_c", "pyr uvate_c"), "in an id replaced by _: pyr_uvate_c"),
    "Greek id": (renamed("pyr_c", "πυρ_c"), ""),
    "duplicates": (lambda d: d["metabolites"].append(d["metabolites"][0]), "listed twice in metabolites, the first"),
    "no genes": (lambda d: d.pop("genes"), ""),
    "bounds as text": (reaction("GLYC", lower_bound="0", upper_bound="1e3"), ""),
    "no upper bound": (lambda d: entry(d, "GLYC").pop("upper_bound"), "no upper bound, set to 1000: GLYC"),
    "no names": (everywhere("metabolites", "name", None), ""),
    "no compartment names": (lambda d: d.update(compartments=None, notes=None, annotation=None), ""),
}


@pytest.mark.parametrize("quirk", MENDED)
def test_a_quirk_is_mended_and_named_and_the_model_can_be_written_again(
    tmp_path: Path, document: Document, quirk: str
) -> None:
    spoil, repair = MENDED[quirk]
    spoil(document)
    loaded = load_model(written(tmp_path, document))
    assert growth_of(loaded.model) == pytest.approx(GROWTH)
    assert len(loaded.repairs) == bool(repair)
    assert repair in "".join(loaded.repairs)
    for suffix in ("xml", "json"):
        save_model(loaded.model, tmp_path / f"again.{suffix}")
        again = load_model(tmp_path / f"again.{suffix}").model
        assert growth_of(again) == pytest.approx(GROWTH)
        assert {m.id: m.compartment for m in again.metabolites} == {
            m.id: m.compartment for m in loaded.model.metabolites
        }


REFUSED: dict[str, tuple[Quirk, str]] = {
    "two charges": (metabolite("o2_c", charge="0;-1"), "charges that are no numbers: '0;-1' of o2_c"),
    "no id": (metabolite("o2_c", id=""), "metabolite number 4 has no id"),
    "a long id": (renamed("o2_c", "o" * 300), "has 300 characters"),
    "ids too alike": (renamed("o2_c", "o2 e"), "are too alike"),
    "one id, two reactions": (reaction("GLYC", id="TCA"), "two different reactions have the id 'TCA'"),
    "an unknown metabolite": (reaction("GLYC", metabolites={"x_c": 1}), "uses metabolite 'x_c', which is not in"),
    "a coefficient of null": (reaction("GLYC", metabolites={"o2_c": None}), "coefficient of o2_c in reaction GLYC"),
    "an infinite coefficient": (reaction("GLYC", metabolites={"o2_c": float("inf")}), "GLYC is infinite"),
    "a bound of null": (reaction("GLYC", upper_bound=None), "the upper bound of reaction GLYC is no number (None)"),
    "a bound of NaN": (reaction("GLYC", lower_bound=float("nan")), "lower bound of reaction GLYC is no number"),
    "crossed bounds": (reaction("GLYC", lower_bound=5, upper_bound=3), "GLYC has a lower bound of 5 and an upper"),
    "no reactions": (lambda d: d.update(reactions=[]), "it contains no reactions"),
    "a map": (lambda d: d.update(reactions={"1": {}}), "it has no list of reactions"),
}


@pytest.mark.parametrize("quirk", REFUSED)
def test_what_has_no_certain_repair_is_refused_in_one_line(tmp_path: Path, document: Document, quirk: str) -> None:
    spoil, message = REFUSED[quirk]
    if quirk == "ids too alike":
        renamed("o2_e", "o2_e ")(document)
    spoil(document)
    with refused(message) as caught:
        load_model(written(tmp_path, document))
    assert "download" not in caught.value.hint


def test_balance_without_charges_is_that_of_the_elements(tmp_path: Path, document: Document) -> None:
    without("metabolites", "charge")(document)
    network = load_network(written(tmp_path, document))
    assert imbalanced_reactions(network) == {}
    assert network.charges == {}


@pytest.mark.parametrize(
    ("formula", "atoms"),
    [
        ("C3H3O3P.Na", {"C": 3, "H": 3, "O": 3, "P": 1, "Na": 1}),
        ("Ca(OH(CH2)3)2", {"Ca": 1, "O": 2, "H": 14, "C": 6}),
        ("C2H4OR*", {"C": 2, "H": 4, "O": 1, "R": 1, "*": 1}),
        ("C1.5H.5", {"C": 1.5, "H": 0.5}),
        *((text, {}) for text in ("(C3H3O3)n", "(CH)n", "null", "12", "((C)", ".", "")),
    ],
)
def test_formulas_are_counted_or_not_at_all(formula: str, atoms: dict[str, float]) -> None:
    assert elements(formula) == atoms


def test_a_compartment_of_an_object_may_be_a_number(tmp_path: Path) -> None:
    model = toy_cell()
    model.metabolites.get_by_id("lac__L_c").compartment = 1
    save_model(model, tmp_path / "model.json")
    for source in (model, tmp_path / "model.json"):
        assert load_network(source).names.compartments["lac__L_c"] == "c"


@pytest.mark.parametrize(("charge", "known"), [(None, 19), (float("nan"), 19), (-0.5, 19), ("-1", 20), (-1.0, 20)])
def test_a_model_that_is_an_object_is_mended_in_the_network_and_in_files_but_not_itself(
    tmp_path: Path, charge: object, known: int
) -> None:
    model = toy_cell()
    pyruvate = model.metabolites.get_by_id("pyr_c")
    pyruvate.charge, pyruvate.compartment, pyruvate.formula = charge, None, 12
    model.reactions.O2t.bounds = 1500.0, 2000.0  # COBRApy's readers set the lower bound while the upper one is 1000
    network = load_network(model)
    assert core_model(model, network).reactions.O2t.bounds == (1500.0, 2000.0)
    assert len(network.charges) == known
    assert "no compartment, set to that in the id: pyr_c" in network.repairs
    for suffix in ("xml", "json", "mat", "yml"):
        save_model(model, tmp_path / f"model.{suffix}")
        read = load_network(tmp_path / f"model.{suffix}")
        assert len(read.charges) == known
        assert read.names.compartments["pyr_c"] == "c"
        assert read.bounds_of("O2t") == (1500.0, 2000.0)
    assert (pyruvate.charge, pyruvate.compartment, pyruvate.formula) == (charge, None, 12)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: setattr(m.metabolites.pyr_c, "charge", "x"), "charges that are no numbers: 'x' of pyr_c"),
        (lambda m: setattr(m.metabolites.pyr_c, "charge", [1]), "charges that are no numbers: [1] of pyr_c"),
        (
            lambda m: m.reactions.GLYC.add_metabolites({"pyr_c": math.nan}),
            "coefficient of pyr_c in reaction GLYC is nan",
        ),
        (
            lambda m: m.reactions.GLYC.add_metabolites({"nad_c": -math.inf}),
            "coefficient of nad_c in reaction GLYC is -inf",
        ),
        (lambda m: m.reactions.GLYC.add_metabolites({"glc__D_c": 1e308}), "glc__D_c in reaction GLYC is 1e+308"),
        (lambda m: setattr(m.reactions.GLYC, "bounds", (math.inf, math.inf)), "GLYC has the bounds inf and inf"),
        (lambda m: setattr(m.reactions.GLYC, "bounds", (-math.inf, -math.inf)), "GLYC has the bounds -inf and -inf"),
    ],
)
def test_a_model_that_is_an_object_is_refused_in_one_line_for_numbers_that_are_none(
    spoil: Callable[[cobra.Model], object], message: str
) -> None:
    model = toy_cell()
    spoil(model)
    with refused(message):
        to_network(model)
