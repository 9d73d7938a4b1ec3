"""A Pareto front as a figure with links for points: growth won back against NAD(P)H taken, protein as colour, size.

The colours are those of cividis, which colour-blind readers see as others do: Nunez et al. 2018, PLoS ONE
13:e0199239.
"""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator

from redox_balancer.designer.design import Design
from redox_balancer.search.front import ParetoFront

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 66, 590, 16, 330  # edges of the axes; the legend is to the right of them
LEAST, MOST = 4.0, 10.0  # radii of the points of no protein and of the most
LABELS, LETTER, LINE = 7, 7.4, 13.0  # constructs named in the figure at most, and the size of a letter of their names
INK, DESIGN = "#1d2429", "#d55e00"
CHOSEN = colormaps["cividis_r"]

Box = tuple[float, float, float, float]


def front_figure(front: ParetoFront, design: Design) -> str:
    """The front as an `<svg>` element, with a diamond where a design is; points have their numbers in full."""
    rows, outcome = front.rows(), design.proposal.outcome
    own = outcome.capacity, 100 * front.won_back(outcome.growth)
    points = [(row["capacity"], 100 * row["growth_won_back"]) for row in rows]
    largest = max(row["protein"] for row in rows) or 1.0
    root = ET.Element(
        "svg",
        {
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "width": str(WIDTH),
            "height": str(HEIGHT),
            "role": "group",
            "font-family": "system-ui, sans-serif",
            "font-size": "12",
            "fill": INK,
            "aria-label": f"Pareto front of {front.condition}: {len(rows)} constructs",
        },
    )
    x, y = (
        _axis(root, [point[at] for point in [*points, own]], across=at == 0, title=title)
        for at, title in enumerate(("NAD(P)H taken (mmol/gDW/h)", "growth won back (% of healthy growth)"))
    )
    at = [(x(first), y(second)) for first, second in points]
    radii = [LEAST + (MOST - LEAST) * row["protein"] / largest for row in rows]
    for index in sorted(range(len(rows)), key=lambda index: -radii[index]):
        row = rows[index]
        name = f"front-{front.condition}-{index}"
        link = ET.SubElement(root, "a", {"id": name, "href": f"#{name}", "aria-label": _described(row)})
        for number in ("growth", "growth_won_back", "capacity", "protein"):
            link.set(f"data-{number.replace('_', '-')}", repr(float(row[number])))
        place = {"cx": f"{at[index][0]:.1f}", "cy": f"{at[index][1]:.1f}", "r": f"{radii[index]:.1f}"}
        ET.SubElement(link, "circle", place | {"fill": to_hex(CHOSEN(row["protein"] / largest)), "stroke": INK})
    left, top = x(own[0]), y(own[1])
    diamond = f"M{left:.1f} {top - 13:.1f}l13 13-13 13-13-13z"
    ET.SubElement(root, "path", {"d": diamond, "fill": "none", "stroke": DESIGN, "stroke-width": "2"})
    halo = {"stroke": "#fff", "stroke-width": "3", "paint-order": "stroke"}
    for text, left, base, anchor in _labels([row["construct"] for row in rows], at, radii, points):
        _text(root, text, left, base, halo | {"text-anchor": anchor})
    _legend(root, largest)
    return ET.tostring(root, encoding="unicode")


def _described(row: dict[str, Any]) -> str:
    growth = f"growth {row['growth']:.5f} 1/h, {100 * row['growth_won_back']:+.2f} % of healthy growth"
    taken = f"NAD(P)H taken {row['capacity']:.4f} mmol/gDW/h"
    return f"{row['construct']}: {growth}, {taken}, protein {100 * row['protein']:.3g} % of the proteome"


def _axis(root: ET.Element, numbers: list[float], *, across: bool, title: str) -> Any:
    """Draw an axis with its ticks, and return where on it a number is."""
    low, high = min(numbers), max(numbers)
    margin = 0.06 * (high - low) or 0.5
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
    first, last = low - margin, high + margin

    def at(number: float) -> float:
        share = (number - first) / (last - first)
        return LEFT + share * (RIGHT - LEFT) if across else BOTTOM - share * (BOTTOM - TOP)

    for tick in (float(tick) + 0.0 for tick in ticks if first <= tick <= last):
        line = (at(tick), TOP, at(tick), BOTTOM) if across else (LEFT, at(tick), RIGHT, at(tick))
        ends = zip(("x1", "y1", "x2", "y2"), line, strict=True)
        ET.SubElement(root, "line", {name: f"{end:.1f}" for name, end in ends} | {"stroke": "#dde3e7"})
        left, base = (at(tick), BOTTOM + 18) if across else (LEFT - 8, at(tick) + 4)
        _text(root, f"{tick:g}", left, base, {"text-anchor": "middle" if across else "end"})
    if across:
        _text(root, title, (LEFT + RIGHT) / 2, BOTTOM + 40, {"text-anchor": "middle"})
    else:
        middle = (TOP + BOTTOM) / 2
        turned = {"text-anchor": "middle", "transform": f"rotate(-90 16 {middle:g})"}
        _text(root, title, 16, middle, turned)
    return at


def _labels(
    names: list[str], at: list[tuple[float, float]], radii: list[float], numbers: list[tuple[float, float]]
) -> Iterator[tuple[str, float, float, str]]:
    """Names that fit beside their points, with their places and anchors, those of the largest numbers first."""
    taken: list[Box] = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(at, radii, strict=True)]
    order = sorted(range(len(names)), key=lambda index: -numbers[index][1])
    by_capacity = sorted(range(len(names)), key=lambda index: -numbers[index][0])
    shown = 0
    for index in dict.fromkeys(one for pair in zip(order, by_capacity, strict=True) for one in pair):
        (x, y), r, width = at[index], radii[index], LETTER * len(names[index])
        for side, base, anchor in ((x + r + 4, y + 4, "start"), (x - r - 4, y + 4, "end"), (x, y - r - 5, "middle")):
            start = side - width * ("start", "middle", "end").index(anchor) / 2
            box = (start, base - LINE + 2, start + width, base + 2)
            inside = box[0] >= LEFT and box[2] <= RIGHT and box[1] >= TOP
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                yield names[index], side, base, anchor
                shown += 1
                break
        if shown == LABELS:
            return


def _overlap(one: Box, two: Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _legend(root: ET.Element, largest: float) -> None:
    x, y = RIGHT + 24.0, TOP + 10.0
    _text(root, "protein,", x - 6, y, {})
    _text(root, "% of proteome", x - 6, y + 15, {})
    for step in range(5):
        share, y_at = step / 4, y + 38 + 26 * step
        place = {"cx": f"{x + 6:g}", "cy": f"{y_at:g}", "r": f"{LEAST + (MOST - LEAST) * share:.1f}"}
        ET.SubElement(root, "circle", place | {"fill": to_hex(CHOSEN(share)), "stroke": INK})
        _text(root, f"{100 * largest * share:.2g}", x + 24, y_at + 4, {})
    y_at = y + 38 + 26 * 5 + 4
    ET.SubElement(
        root, "path", {"d": f"M{x + 6:g} {y_at - 10:g}l10 10-10 10-10-10z", "fill": "none", "stroke": DESIGN}
    )
    _text(root, "this design", x + 24, y_at + 4, {})


def _text(root: ET.Element, text: str, x: float, y: float, style: dict[str, str]) -> None:
    ET.SubElement(root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}"} | style).text = text
