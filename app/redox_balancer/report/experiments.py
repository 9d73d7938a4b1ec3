"""The page and the figure of the experiments that a network should reproduce."""

import re

import numpy as np

from redox_balancer.drawing import BEST, POLICY, RANDOM, Drawing, blank
from redox_balancer.evaluation import verdicts
from redox_balancer.evaluation.experiments import load_experiments
from redox_balancer.evaluation.validation import Standing, Validation, shown, tally

INTRODUCTION = """# Experiments

Experiments on human cells that a model should reproduce, by one rule. This page is generated, with a section for each
model; nothing in it is written by hand. Growth in 1/h, fluxes in mmol/gDW/h.
"""


def updated(page: str, result: Validation) -> str:
    """A page with the results of one model in place of its earlier ones; those of other models stay."""
    others = re.split(r"(?m)^(?=## Results: )", page)[1:]
    sections = {section.partition("\n")[0]: section.strip() + "\n" for section in others}
    new = _section(result)
    sections[new.partition("\n")[0]] = new
    return "\n".join([INTRODUCTION, _rule(), _experiments(), *sections.values()])


def _rule() -> str:
    text = re.sub(r"\n  (?=\S)", "\n  ", (verdicts.__doc__ or "").partition("\n\n")[2].strip())
    return f"## The rule\n\n{text}\n"


def _experiments() -> str:
    counted, extra = (
        [
            f"| {each.id} | {each.finding} | {each.source} |"
            for each in load_experiments().experiments.values()
            if each.extra is own
        ]
        for own in (False, True)
    )
    head = ["| id | finding | source |", "| --- | --- | --- |"]
    beyond = "Extra experiments, which came later and are counted on their own:"
    return "\n".join(["## The experiments\n", *head, *counted, "", beyond, "", *head, *extra, ""])


def _section(result: Validation) -> str:
    words = {True: "right", False: "**wrong**", None: "-"}
    lines = [f"## Results: {result.model}\n", f"Medium `{result.medium}`. {tally(result.results)}.\n"]
    lines += ["| experiment | setting | expected | predicted | |", "| --- | --- | --- | --- | --- |"]
    for each in result.results:
        for assay in each.assays:
            ratio = " (NADH/NAD+)" if assay.assay.ratio else ""
            cells = (each.experiment.id, f"{assay.assay}{ratio}", assay.assay.expected.value, shown(assay))
            lines.append(f"| {' | '.join(cells)} | {words[assay.right]} |")
    misses = [each for each in result.results if each.reason or each.standing is Standing.WRONG]
    lines += ["", "Why they come out so, as far as measured:\n"] if misses else []
    lines += [f"- {each.experiment.id}: {each.reason or 'not known'}" for each in misses]
    if result.flips is not None:
        lines += ["", "What comes out otherwise at half or twice of a cap of the medium:\n"]
        lines += [f"- {flip}" for flip in result.flips] or ["- nothing"]
    return "\n".join([*lines, ""])


def drawn(result: Validation) -> Drawing:
    """Growth of the cell with the defect and of the treated one beside the intact cell's, one row per rescue."""
    rows = [
        (f"{each.experiment.id}: {assay.assay}", assay)
        for each in result.results
        for assay in each.assays
        if "treated" in assay.figures
    ]
    figure, axes = blank(10.0, 0.3 * len(rows) + 1.2)
    colours = [POLICY if assay.right else RANDOM for _, assay in rows]
    positions = np.arange(len(rows))
    axes.barh(positions, [assay.figures["treated"] for _, assay in rows], 0.6, color=colours)
    for name, marker in (("intact", "|"), ("defect", "x")):
        growths = [assay.figures[name] for _, assay in rows]
        axes.scatter(growths, positions, color=BEST, marker=marker, label=name, zorder=3)
    axes.set_yticks(positions, [f"{name} ({assay.assay.expected})" for name, assay in rows])
    axes.invert_yaxis()
    axes.set_xlabel("growth of the treated cell, 1/h; blue as expected, red not")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    return Drawing("experiments", figure, f"growth in each experiment on {result.model}")
