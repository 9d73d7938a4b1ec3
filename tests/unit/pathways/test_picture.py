"""The picture of the redox map: arrows along the fluxes, texts apart from each other, nothing from elsewhere."""

import itertools
import math
import re
from xml.etree import ElementTree as ET

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from redox_balancer.cell.network import Network
from redox_balancer.design.enzymes import load_library
from redox_balancer.design.task import Task
from redox_balancer.pathways.layout import INSERTED, EscherMap, fitted_map, layout
from redox_balancer.pathways.picture import DrawnEnzyme, MapText, draw, metabolite_labels, radius, reaction_label

SVG = "{http://www.w3.org/2000/svg}"
SIDES = 1.5
"""Room that texts keep between them."""


@pytest.fixture(scope="module")
def core() -> Network:
    return Task().space().network


def _full(core: Network) -> tuple[EscherMap, dict[str, DrawnEnzyme]]:
    """The map with an enzyme at each place, that with the longest name of those that fit."""
    by_reaction: dict[str, list[str]] = {}
    for enzyme in load_library().values():
        for site in enzyme.sites:
            by_reaction.setdefault(site.reaction, []).append(f"{INSERTED}{enzyme.id}_{site.compartment}")
    longest = {name: max(names, key=len) for names in by_reaction.values() for name in names}
    foreign, inserted = {}, {}
    for reaction in layout()[1]["reactions"].values():
        if reaction["bigg_id"] in longest and reaction["bigg_id"].startswith(INSERTED):
            name = longest[reaction["bigg_id"]]
            foreign[name] = {entry["bigg_id"]: entry["coefficient"] for entry in reaction["metabolites"]}
            inserted[name] = DrawnEnzyme(name.removeprefix(INSERTED).rpartition("_")[0], 1.0)
    return fitted_map(core, foreign), inserted


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_arrow_is_against_its_flux(core: Network, sign: float) -> None:
    chart, inserted = _full(core)
    body = chart[1]
    names = [reaction["bigg_id"] for reaction in body["reactions"].values()]
    fluxes = {name: sign * (0.01 + (index % 7)) * (-1) ** (index % 3) for index, name in enumerate(names)}
    picture = ET.XML(draw(chart, fluxes, inserted, "title"))
    tips = [
        tuple(map(float, polygon.attrib["points"].split(" ")[0].split(",")))
        for polygon in picture.iter(f"{SVG}polygon")
    ]
    expected: dict[str, int] = {}
    for reaction in body["reactions"].values():
        made = {
            entry["bigg_id"]
            for entry in reaction["metabolites"]
            if entry["coefficient"] * fluxes[reaction["bigg_id"]] > 0
        }
        for segment in reaction["segments"].values():
            for end in (segment["from_node_id"], segment["to_node_id"]):
                if body["nodes"][end].get("bigg_id") in made:
                    expected[end] = expected.get(end, 0) + 1
    found = {
        key: sum(abs(math.dist(tip, (node["x"], node["y"])) - radius(node) - 2) < 0.3 for tip in tips)
        for key, node in body["nodes"].items()
        if node["node_type"] == "metabolite"
    }
    assert {key: count for key, count in found.items() if count} == expected
    assert len(tips) == sum(expected.values())


def test_without_a_flux_there_is_no_arrow(core: Network) -> None:
    picture = draw(fitted_map(core, {}), dict.fromkeys(core.reactions, 0.0), {}, "title")
    assert "<polygon" not in picture
    assert "dasharray" not in picture


def test_a_reaction_that_the_model_lacks_is_dashed(core: Network) -> None:
    fluxes = dict.fromkeys(core.reactions, 1.0)
    del fluxes["LDH_L"]
    picture = draw(fitted_map(core, {}), fluxes, {}, "title")
    assert "dasharray" in picture
    assert "LDH_L: not in this model" in picture


def test_no_text_overlaps_another_or_leaves_the_picture(core: Network) -> None:
    chart, inserted = _full(core)
    body = chart[1]
    labels = [
        *(
            (reaction_label(r, 0.888, inserted.get(r["bigg_id"])), bool(inserted.get(r["bigg_id"])))
            for r in body["reactions"].values()
        ),
        *((label, False) for label in metabolite_labels(body["nodes"].values())),
        *((MapText(text["x"], text["y"], (((text["text"], 30),),)), False) for text in body["text_labels"].values()),
    ]
    boxes = [(label, _box(label, "bold" if bold else "normal")) for label, bold in labels]
    overlaps = [
        (first.lines, second.lines)
        for (first, one), (second, two) in itertools.combinations(boxes, 2)
        if one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
    ]
    assert overlaps == []
    width = body["canvas"]["width"]
    assert [label.lines for label, box in boxes if box[0] < 0 or box[2] > width or box[1] < -30] == []


def _box(label: MapText, weight: str) -> tuple[float, float, float, float]:
    """Bounds in DejaVu Sans, which is wider than the fonts a browser takes before it."""
    left = top = math.inf
    right = bottom = -math.inf
    for row, parts in enumerate(label.lines):
        x = label.x
        for text, size in parts:
            if text:
                extent = TextPath((0, 0), text, size=size, prop=FontProperties("DejaVu Sans", weight=weight))
                box = extent.get_extents()
                y = label.y + 25 * row
                left, right = min(left, x), max(right, x + box.x1)
                top, bottom = min(top, y - box.y1), max(bottom, y - box.y0)
                x += box.x1
    return left - SIDES, top - SIDES, right + SIDES, bottom + SIDES


def test_nothing_is_loaded_from_elsewhere(core: Network) -> None:
    picture = draw(fitted_map(core, {}), dict.fromkeys(core.reactions, 1.0), {}, "growth < 1 & more")
    root = ET.XML(picture)
    assert root.attrib["aria-label"] == "growth < 1 & more"
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "rect", "path", "polygon", "circle", "g", "text", "tspan", "title", "line"),
    }
    assert re.findall(r"(?:href|src|url\(|@import|https?://)[^\"]*", picture) == ["http://www.w3.org/2000/svg"]


def test_an_enzyme_without_a_place_is_named(core: Network) -> None:
    chart = fitted_map(core, {"SINK_NEW_c": {"nadh_c": -1.0, "x_c": 1.0}})
    picture = draw(chart, dict.fromkeys(core.reactions, 1.0), {"SINK_NEW_c": DrawnEnzyme("NEW", 1.0)}, "title")
    assert "not\u00a0on\u00a0this\u00a0map:\u00a0NEW" in picture
