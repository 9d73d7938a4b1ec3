"""The picture of an Escher map with fluxes: an SVG without external resources.

A line is as wide as the flux is large (its area by the square root), an arrow shows where it goes to. Enzymes that
were put in are vermilion, on a pale band as wide as their capacity. The colours are those of Okabe and Ito, which
colour-blind readers tell apart; dash and label say the same.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

from redox_balancer.pathways.layout import EscherMap

INK, SOFT, PALE, ACTIVE, PLACED, BAND = "#1d2429", "#6b6b6b", "#d0d4d7", "#5a6268", "#d55e00", "#f6d5bd"
POOLS = {
    "NADH": "#0072b2",
    "NADPH": "#e69f00",
    "QH₂": "#009e73",
    "FADH₂": "#009e73",
    "cyt c": "#009e73",
    "H⁺": "#cc79a7",
}
"""Colour of what the carriers of electrons, and protons, flow through, by the name of the node."""

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
REACTION_SIZE, METABOLITE_SIZE, SIDE_SIZE, FLUX_SIZE, TITLE_SIZE = 25, 22, 19, 19, 32
WIDEST = 17.0  # width of the largest flux of the map
NARROWEST = 1.8
MARGIN, LEGEND = 76, 70  # room above the map for its title, and below it for the legend
NO_FLUX, LEAST_SHOWN, MANY = 1e-9, 5e-4, 10.0  # flux of which nothing, `≈0`, and one decimal is shown, mmol/gDW/h

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]


@dataclass(frozen=True)
class DrawnEnzyme:
    """An enzyme that was put in: its name, and for a foreign one the largest flux it can carry, mmol/gDW/h."""

    enzyme: str
    cap: float | None = None


@dataclass(frozen=True)
class MapText:
    """A text of the map: its lines with their sizes, at the left end of the first base line."""

    x: float
    y: float
    lines: tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True)
class Stroke:
    """A line of a reaction: where it ends, in which direction it runs, and with which flux."""

    curve: Curve
    end_radius: float
    arrow: bool
    colour: str
    width: float
    band: float  # width of the band that shows the capacity
    known: bool


def draw(chart: EscherMap, fluxes: Mapping[str, float], inserted: Mapping[str, DrawnEnzyme], title: str) -> str:
    """`picture` as text."""
    return ET.tostring(picture(chart, fluxes, inserted, title), encoding="unicode")


def picture(
    chart: EscherMap, fluxes: Mapping[str, float], inserted: Mapping[str, DrawnEnzyme], title: str
) -> ET.Element:
    """The map with fluxes of the model it was fitted to, by the model's ids; reactions without one are pale.

    It is an `<svg>` element with a group each of lines, circles and texts.
    """
    head, body = chart
    canvas = body["canvas"]
    largest = max((abs(fluxes.get(r["bigg_id"], 0.0)) for r in body["reactions"].values()), default=0.0) or 1.0
    width, height = canvas["width"], canvas["height"] + MARGIN + LEGEND
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"{canvas['x']:g} {canvas['y'] - MARGIN:g} {width:g} {height:g}",
            "width": f"{width / 2:g}",
            "height": f"{height / 2:g}",
            "role": "img",
            "aria-label": title,
            "font-family": FONT,
        },
    )
    _rect(root, (canvas["x"], canvas["y"] - MARGIN, width, height), {"fill": "#ffffff"})
    for fill, box in zip(("#fbfbf8", "#f1f4f6", "#fbfaf3"), head["metadata"]["compartments"], strict=True):
        place = (box["x"], box["y"], box["width"], box["height"])
        _rect(root, place, {"fill": fill, "stroke": "#b9c0c5", "rx": "40", "stroke-width": "3"})
    strokes = [
        stroke
        for reaction in body["reactions"].values()
        for stroke in _strokes(reaction, body["nodes"], fluxes, inserted, largest)
    ]
    lines = ET.SubElement(root, "g", {"fill": "none", "stroke-linejoin": "round"})
    for stroke in sorted(strokes, key=lambda stroke: (stroke.colour != PALE, stroke.colour == PLACED)):
        _line(lines, stroke)
    circles = ET.SubElement(root, "g", {"fill": "#ffffff", "stroke": ACTIVE, "stroke-width": "2"})
    for node in body["nodes"].values():
        if node["node_type"] == "metabolite":
            pool = POOLS.get(node["name"])
            shape = {"cx": f"{node['x']:g}", "cy": f"{node['y']:g}", "r": f"{radius(node):g}"}
            ET.SubElement(circles, "circle", shape | ({"fill": pool, "stroke": pool} if pool else {}))
    texts = ET.SubElement(root, "g", {"stroke": "#ffffff", "stroke-width": "4", "paint-order": "stroke", "fill": INK})
    for reaction in body["reactions"].values():
        flux, placed = fluxes.get(reaction["bigg_id"]), inserted.get(reaction["bigg_id"])
        colour = PLACED if placed else INK if flux and abs(flux) > NO_FLUX else SOFT
        group = _text(texts, reaction_label(reaction, flux, placed), colour, bold=placed is not None)
        known = "not in this model" if flux is None else f"{flux:.4g} mmol/gDW/h"
        ET.SubElement(group, "title").text = f"{reaction['bigg_id']}: {known}"
    for label in metabolite_labels(body["nodes"].values()):
        _text(texts, label, INK)
    for text in body["text_labels"].values():
        _text(texts, MapText(text["x"], text["y"], (((text["text"], 30),),)), SOFT)
    _text(texts, MapText(canvas["x"] + 14, canvas["y"] - 30, (((title, TITLE_SIZE),),)), INK, bold=True)
    drawn = {reaction["bigg_id"] for reaction in body["reactions"].values()}
    missing = [placed.enzyme for reaction, placed in inserted.items() if reaction not in drawn]
    _legend(root, texts, (canvas["x"] + 14, canvas["y"] + canvas["height"] + 30), largest, missing)
    return root


def reaction_label(reaction: Mapping[str, Any], flux: float | None, placed: DrawnEnzyme | None) -> MapText:
    """Name of a reaction, or of the enzyme that was put in, its flux, and how much of its capacity that is."""
    name = placed.enzyme if placed else reaction["name"]
    size = abs(flux or 0.0)
    shown = "≈0" if size < LEAST_SHOWN else f"{size:.3f}" if size < MANY else f"{size:.1f}"
    number = f" {shown}" if size > NO_FLUX else ""
    lines = [((name, REACTION_SIZE), (number, FLUX_SIZE))]
    if placed and placed.cap:
        lines.append(((f"{100 * size / placed.cap:.0f} % used", FLUX_SIZE), ("", FLUX_SIZE)))
    return MapText(reaction["label_x"], reaction["label_y"], tuple(lines))


def metabolite_labels(nodes: Iterable[Mapping[str, Any]]) -> Iterable[MapText]:
    """Names of metabolites."""
    for node in nodes:
        if node["node_type"] == "metabolite":
            size = METABOLITE_SIZE if node["node_is_primary"] else SIDE_SIZE
            yield MapText(node["label_x"], node["label_y"], (((node["name"], size),),))


def radius(node: Mapping[str, Any]) -> float:
    """Radius of a node; 0 for the points where lines of a reaction meet."""
    if node["node_type"] != "metabolite":
        return 0.0
    return 9.0 if node["node_is_primary"] else 5.0


def _strokes(
    reaction: Mapping[str, Any],
    nodes: Mapping[str, Any],
    fluxes: Mapping[str, float],
    inserted: Mapping[str, DrawnEnzyme],
    largest: float,
) -> Iterable[Stroke]:
    flux, placed = fluxes.get(reaction["bigg_id"]), inserted.get(reaction["bigg_id"])
    runs = flux is not None and abs(flux) > NO_FLUX
    coefficients = {entry["bigg_id"]: entry["coefficient"] for entry in reaction["metabolites"]}

    def wide(size: float) -> float:
        return max(NARROWEST, WIDEST * math.sqrt(min(1.0, abs(size) / largest)))

    for segment in reaction["segments"].values():
        start, end = nodes[segment["from_node_id"]], nodes[segment["to_node_id"]]
        curve = _curve(start, segment["b1"], segment["b2"], end)
        if start["node_type"] == "metabolite":  # the metabolite last, where an arrow may stand
            start, end, curve = end, start, curve[::-1]
        side = not end.get("node_is_primary", True)
        main = PLACED if placed else ACTIVE
        colour = (POOLS.get(end.get("name", ""), main) if side else main) if runs else PLACED if placed else PALE
        yield Stroke(
            curve,
            radius(end),
            arrow=runs and coefficients.get(end.get("bigg_id", ""), 0.0) * (flux or 0.0) > 0,
            colour=colour,
            width=(0.7 if side else 1.0) * wide(flux or 0.0) if runs else NARROWEST,
            band=wide(placed.cap) + 6 if placed and placed.cap and not side else 0.0,
            known=flux is not None,
        )


def _curve(start: Mapping[str, Any], b1: Any, b2: Any, end: Mapping[str, Any]) -> Curve:
    first, last = (start["x"], start["y"]), (end["x"], end["y"])
    return (first, (b1["x"], b1["y"]) if b1 else first, (b2["x"], b2["y"]) if b2 else last, last)


def _point(curve: Curve, t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x, y = (sum(weight * point[axis] for weight, point in zip(weights, curve, strict=True)) for axis in (0, 1))
    return x, y


def _line(root: ET.Element, stroke: Stroke) -> None:
    """A line that ends at the circle of its metabolite, with a head there."""
    length = 7.0 + 1.5 * stroke.width if stroke.arrow else 0.0
    tip = _outside(stroke.curve, stroke.end_radius + 2 if stroke.end_radius else 0.0)
    body = _outside(tip, length)
    first, *controls = (f"{x:.1f},{y:.1f}" for x, y in body)
    straight = body[:2] == body[:1] * 2 and body[2:] == body[3:] * 2
    path = f"M{first} {controls[-1]}" if straight else f"M{first}C{' '.join(controls)}"
    if stroke.band:
        ET.SubElement(root, "path", {"d": path, "stroke": BAND, "stroke-width": f"{stroke.band:.1f}"})
    dash = {} if stroke.known else {"stroke-dasharray": "5 5"}
    line = {"d": path, "stroke": stroke.colour, "stroke-width": f"{stroke.width:.1f}"}
    ET.SubElement(root, "path", line | dash)
    if stroke.arrow:
        (x0, y0), (x1, y1) = body[-1], tip[-1]
        far = math.dist(body[-1], tip[-1]) or 1.0
        across = (0.5 * stroke.width + 4.0) / far
        nx, ny = -(y1 - y0) * across, (x1 - x0) * across
        corners = ((x1, y1), (x0 + nx, y0 + ny), (x0 - nx, y0 - ny))
        ET.SubElement(
            root, "polygon", {"points": " ".join(f"{x:.1f},{y:.1f}" for x, y in corners), "fill": stroke.colour}
        )


def _outside(curve: Curve, reach: float) -> Curve:
    """A curve up to where it comes within reach of its end."""
    near, far = 1.0, 0.0
    for _ in range(24 if reach > 0 else 0):  # a bisection, to less than a millionth of the curve
        middle = (near + far) / 2
        if math.dist(_point(curve, middle), curve[-1]) < reach:
            near = middle
        else:
            far = middle
    if reach <= 0:
        return curve
    if curve[:2] == curve[:1] * 2 and curve[2:] == curve[3:] * 2:  # straight
        return curve[0], curve[0], _point(curve, far), _point(curve, far)

    def between(one: Point, two: Point) -> Point:
        return one[0] + far * (two[0] - one[0]), one[1] + far * (two[1] - one[1])

    # De Casteljau: the control points of the part up to a parameter.
    a, b, c = (between(*pair) for pair in pairwise(curve))
    d, e = between(a, b), between(b, c)
    return curve[0], a, d, between(d, e)


def _legend(root: ET.Element, texts: ET.Element, place: Point, largest: float, missing: list[str]) -> None:
    x, y = place
    samples: list[tuple[str, str, float, float]] = [
        (f"{size:.2g}", ACTIVE, WIDEST * math.sqrt(size / largest), 0.0)
        for size in (largest, largest / 10, largest / 100)
    ]
    samples[0] = (f"{samples[0][0]} mmol/gDW/h", *samples[0][1:])
    samples += [(name, POOLS[key], 6.0, 0.0) for name, key in _KEYS.items()]
    samples += [("put in, on its capacity", PLACED, 6.0, 16.0), ("no flux", PALE, NARROWEST, 0.0)]
    for text, colour, width, band in samples:
        for stroke, wide in ((BAND, band), (colour, width)):
            if wide:
                at = {"x1": f"{x:g}", "x2": f"{x + 46:g}", "y1": f"{y:g}", "y2": f"{y:g}"}
                ET.SubElement(root, "line", at | {"stroke": stroke, "stroke-width": f"{wide:.1f}"})
        _text(texts, MapText(x + 54, y + 7, (((text, METABOLITE_SIZE),),)), INK)
        x += 84 + 0.58 * METABOLITE_SIZE * len(text)
    if missing:
        _text(texts, MapText(x, y + 7, (((f"not on this map: {', '.join(missing)}", METABOLITE_SIZE),),)), PLACED)


_KEYS = {"NADH": "NADH", "NADPH": "NADPH", "quinol, FADH₂": "QH₂", "protons": "H⁺"}


def _rect(root: ET.Element, place: tuple[float, float, float, float], style: dict[str, str]) -> None:
    sides = zip(("x", "y", "width", "height"), place, strict=True)
    ET.SubElement(root, "rect", {name: f"{value:g}" for name, value in sides} | style)


def _text(root: ET.Element, label: MapText, colour: str, *, bold: bool = False) -> ET.Element:
    """Write a label into a group of texts, whose colour is `INK`."""
    style = {"fill": colour} if colour != INK else {}
    group = ET.SubElement(root, "g", style | ({"font-weight": "bold"} if bold else {}))
    y = label.y
    for parts in label.lines:
        line = ET.SubElement(group, "text", {"x": f"{label.x:g}", "y": f"{y:g}"})
        for text, size in parts:
            if text:
                part = ET.SubElement(line, "tspan", {"font-size": f"{size:g}"})
                part.text = text.replace(" ", "\u00a0")
        y += REACTION_SIZE
    return group
