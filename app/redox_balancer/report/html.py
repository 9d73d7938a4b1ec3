"""The report of a run: one HTML file without external resources."""

import base64
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2

from redox_balancer.designer.design import Design
from redox_balancer.designer.figures import envelope, ratios
from redox_balancer.designer.redox_map import RedoxMap
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.evaluation.score import PolicyScore
from redox_balancer.files import write_atomically
from redox_balancer.pathways.layout import EscherMap, fitted_map
from redox_balancer.report import figures
from redox_balancer.report.front import front_figure
from redox_balancer.report.heat_map import heat_map
from redox_balancer.report.shared import share
from redox_balancer.search.front import ParetoFront
from redox_balancer.version import __version__

Fronts = Mapping[str, ParetoFront]
"""Pareto fronts by the id of their condition."""

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
