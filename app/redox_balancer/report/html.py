"""The report of a run: one HTML file that needs nothing else, and the same figures as data."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from redox_balancer import __version__
from redox_balancer.design.space import DesignSpace
from redox_balancer.designer.design import Design
from redox_balancer.designer.figures import envelope
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.evaluation.score import ConditionScore, best_of
from redox_balancer.files import write_atomically
from redox_balancer.report import figures
from redox_balancer.search.exhaustive import ExhaustiveReference


@dataclass(frozen=True)
class Report:
    """What a report says.

    Attributes
    ----------
    space
        What could be built.
    scores
        Policy and random constructs under each condition.
    references
        The best of all constructs by condition; empty where the search was left out.
    episodes
        Episodes behind each mean.
    designs
        What the best construct of each condition does in the cell; empty where it was left out.
    """

    space: DesignSpace
    scores: list[ConditionScore]
    references: Mapping[str, ExhaustiveReference]
    episodes: int
    designs: Sequence[Design] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One row for each condition; `share` is the policy's mean over the best, None where there is no best."""
        rows = []
        for score in self.scores:
            yardstick = self.references.get(score.condition)
            best = yardstick.best[0] if yardstick else None
            found = best_of(score)
            rows.append(
                {
                    "condition": score.condition,
                    "growth_without": score.growth_without,
                    "random_mean": score.random_mean,
                    "policy_mean": score.policy_mean,
                    "policy_greedy": score.greedy.outcome.value,
                    "best": best.outcome.value if best else None,
                    "share": score.policy_mean / best.outcome.value if best and best.outcome.value > 0 else None,
                    "construct": self.space.describe(found.construct),
                    "construct_value": found.outcome.value,
                    "construct_growth": found.outcome.growth,
                    "construct_capacity": found.outcome.capacity,
                    "best_construct": self.space.describe(best.construct) if best else None,
                }
            )
        return rows

    def summary(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        rows = self.rows()
        shares = [row["share"] for row in rows if row["share"] is not None]
        bests = [row["best"] for row in rows if row["best"] is not None]
        return {
            "episodes": self.episodes,
            "policy_mean": _mean([row["policy_mean"] for row in rows]),
            "random_mean": _mean([row["random_mean"] for row in rows]),
            "best_mean": _mean(bests) if bests else None,
            "policy_share_of_best": _mean(shares) if shares else None,
            "smallest_share_of_best": min(shares) if shares else None,
            "conditions": rows,
            "designs": [design.data() for design in self.designs],
        }


def write_report(report: Report, run: TrainedRun, output: Path) -> None:
    """Write the HTML page; it appears whole or not at all."""
    summary = report.summary()
    rows = summary["conditions"]
    bars = {
        **({"best of all constructs": [row["best"] for row in rows]} if report.references else {}),
        "policy": [row["policy_mean"] for row in rows],
        "random constructs": [row["random_mean"] for row in rows],
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("redox_balancer.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html").render(
        summary=summary,
        run=run,
        metrics=run.metrics(),
        curve=figures.learning_curve(run.metrics(), summary["best_mean"], summary["random_mean"]).svg(),
        bars=figures.by_condition([row["condition"] for row in rows], bars).svg(),
        designs=[_shown(design) for design in report.designs],
        written=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )
    write_atomically(output, page.encode())


def _shown(design: Design) -> dict[str, Any]:
    """What the page shows of a design: its figures, its drawing and its fluxes as a file that Escher loads."""
    fluxes = {reaction: flux for reaction, flux in (design.analysis.fluxes or {}).items() if flux}
    return {
        "data": design.data(),
        "ranges": design.placed_ranges,
        "envelope": envelope(design).svg() if design.analysis.envelope else None,
        "fluxes": base64.b64encode(json.dumps(fluxes).encode()).decode(),
    }


def _mean(figures: list[float]) -> float:
    return math.fsum(figures) / len(figures)
