"""The report of a run: one HTML file without external resources."""

import base64
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree as ET

import jinja2

from redox_balancer.cell.conditions import HEALTHY, JOIN
from redox_balancer.designer.design import Design
from redox_balancer.designer.figures import envelope, ratios
from redox_balancer.designer.redox_map import RedoxMap
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.evaluation.score import PolicyScore
from redox_balancer.files import write_atomically
from redox_balancer.pathways.layout import EscherMap, fitted_map
from redox_balancer.report import figures
from redox_balancer.report.front import front_figure
from redox_balancer.search.front import ParetoFront
from redox_balancer.version import __version__

Fronts = Mapping[str, ParetoFront]  # Pareto fronts by the id of their condition

NO_FRONTS: Fronts = MappingProxyType({})


def write_report(
    run: TrainedRun, score: PolicyScore, designs: Sequence[Design], output: Path, fronts: Fronts = NO_FRONTS
) -> None:
    """Write the page of a run, with the score of its policy and designs of its constructs, to a file atomically."""
    write_atomically(output, render(run, score, designs, fronts).encode())


def render(run: TrainedRun, score: PolicyScore, designs: Sequence[Design], fronts: Fronts = NO_FRONTS) -> str:
    """The page as text."""
    summary, metrics = score.summary(), run.metrics()
    rows = summary["conditions"]
    bars = {
        **({"best of all constructs": [row["best"] for row in rows]} if score.references else {}),
        "policy": [row["policy_mean"] for row in rows],
        "random constructs": [row["random_mean"] for row in rows],
    }
    maps = [RedoxMap.if_any(design) for design in designs]
    shared, pictures = share([drawn.picture() if drawn else None for drawn in maps])
    chart = fitted_map(score.space.network, {}) if any(maps) else None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("redox_balancer.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        summary=summary,
        run=run,
        metrics=metrics,
        curve=figures.learning_curve(metrics, summary["best_mean"], summary["random_mean"]).svg(),
        bars=figures.by_condition([row["condition"] for row in rows], bars).svg(),
        designs=[
            _shown(design, fronts)
            | {"map": picture, "added": _added(drawn.escher, chart) if drawn and chart else None}
            for design, drawn, picture in zip(designs, maps, pictures, strict=True)
        ],
        shared=shared,
        heat=heat_map(designs),
        escher=chart,
        written=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _shown(design: Design, fronts: Fronts) -> dict[str, Any]:
    """A design as the template reads it, with its figures and with its fluxes as a file that Escher loads."""
    fluxes = {reaction: flux for reaction, flux in (design.analysis.fluxes or {}).items() if flux}
    front = fronts.get(design.proposal.condition.id)
    return {
        "data": design.data(),
        "front": front,
        "front_figure": front_figure(front, design) if front else None,
        "ranges": design.placed_ranges,
        "ratios": figure.svg() if (figure := ratios(design.proposal)) else None,
        "envelope": envelope(design).svg() if design.analysis.envelope else None,
        "fluxes": base64.b64encode(json.dumps(fluxes).encode()).decode(),
    }


def _added(chart: EscherMap, to: EscherMap) -> dict[str, dict[str, Any]]:
    """Nodes and reactions of one map that another one has not, or has otherwise."""
    return {
        part: {key: entry for key, entry in chart[1][part].items() if entry != to[1][part].get(key)}
        for part in ("nodes", "reactions")
    }


def heat_map(designs: Sequence[Design]) -> dict[str, Any]:
    """Rows and columns of the map, ready for the template; shares of the largest number are what colours it.

    A column is a cell line or, where a run knows none, the model, and each placement that some design takes follows.
    A cell is None where the run has no such condition.
    """
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    largest = {name: max((_number(design, name) for design in designs), default=0.0) for name in ("value", "rescue")}
    placed: dict[str, float] = {}
    for design in designs:
        condition = design.proposal.condition
        line = "" if condition.reference == HEALTHY else condition.reference
        name = condition.id.removeprefix(line).removeprefix(JOIN) or HEALTHY
        numbers = {name: _number(design, name) for name in largest}
        taken = {row["placement"]: row["proteome_fraction"] for row in design.proposal.placed}
        if not line:
            placed |= {each: max(fraction, placed.get(each, 0.0)) for each, fraction in taken.items()}
        cells.setdefault(name, {})[line or design.proposal.space.network.id] = numbers | {
            "condition": condition.id,
            "shares": {of: _share(number, largest[of]) for of, number in numbers.items()},
            "placed": taken,
        }
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    return {
        "columns": columns,
        "rows": [(name, [row.get(column) for column in columns]) for name, row in cells.items()],
        "placed": dict(sorted(placed.items())),
        "largest": largest,
    }


def _number(design: Design, name: str) -> float:
    return design.proposal.task_value if name == "value" else design.proposal.outcome.rescue


def _share(number: float, largest: float) -> float:
    return min(1.0, max(0.0, number / largest)) if largest > 0 else 0.0


def share(pictures: Sequence[ET.Element | None]) -> tuple[str, list[str | None]]:
    """An `<svg>` of definitions, and the pictures as text, which refer to it; nothing where there are no two.

    Elements that every picture has in the group at the same place, irrespective of their order, become one definition
    that the group shows first.
    """
    drawn = [picture for picture in pictures if picture is not None]
    root = ET.Element("svg", {"width": "0", "height": "0", "style": "position: absolute", "aria-hidden": "true"})
    definitions = ET.SubElement(root, "defs")
    if len(drawn) > 1:
        for number, groups in enumerate(zip(*(picture.findall("g") for picture in drawn), strict=True)):
            written = [{_text(child): child for child in group} for group in groups]
            common = [text for text in written[0] if all(text in others for others in written)]
            definition = ET.SubElement(definitions, "g", {"id": f"shared-{number}"})
            definition.extend(written[0][text] for text in common)
            for group, elements in zip(groups, written, strict=True):
                for text in common:
                    group.remove(elements[text])
                group.insert(0, ET.Element("use", {"href": f"#shared-{number}"}))
    return _text(root) if len(definitions) else "", [None if each is None else _text(each) for each in pictures]


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")
