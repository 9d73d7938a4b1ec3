"""The tables of a comparison of methods, as rows of text and as a page of Markdown, from its summary."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEADINGS = {"method": "left"} | dict.fromkeys(
    ("seeds", "IQM", "IQM, 95 %", "mean", "mean, 95 %", "least", "s to 95 %", "s to 99 %", "s/answer"), "right"
)
"""Headings of `method_rows`, with their justification; IQM is the interquartile mean, and 95 % its interval."""

Row = tuple[str, ...]


def method_rows(benchmark: Mapping[str, Any]) -> Iterator[Row]:
    """One row per method of a set of conditions, shares in percent."""

    def spent(seconds: float | None) -> str:
        return "never" if seconds is None else f"{seconds:.3f}"

    def interval(low: float, high: float) -> str:
        return f"{100 * low:z.1f} to {100 * high:z.1f}"

    for row in benchmark["methods"]:
        yield (
            row["method"],
            str(row["seeds"]),
            f"{100 * row['share']:z.1f}",
            interval(row["share_low"], row["share_high"]),
            f"{100 * row['mean_share']:z.1f}",
            interval(row["mean_low"], row["mean_high"]),
            f"{100 * row['smallest_share']:z.1f}",
            *(spent(row["seconds_to"][share]) for share in ("0.95", "0.99")),
            f"{row['seconds']:.3f}",
        )


def crossing_rows(benchmark: Mapping[str, Any]) -> Iterator[Row]:
    """One row per trained method and search: the number of answers that pay for the training, for each share."""
    by_pair: dict[tuple[str, str], list[str]] = {}
    for each in benchmark["crossings"]:
        queries = "never" if each["queries"] is None else f"{each['queries']:,}"
        shown = f"at most {queries}" if each["at_most"] else queries
        by_pair.setdefault((each["trained"], each["search"]), []).append(shown)
    return ((*pair, *numbers) for pair, numbers in by_pair.items())


def caption(name: str, benchmark: Mapping[str, Any]) -> str:
    """What a table shows, in one line."""
    seconds = benchmark["seconds"]
    when = "when each method has answered" if seconds is None else f"{seconds:g} s per answer"
    return f"{name}: {len(benchmark['conditions'])} conditions, {when}, shares of the best known in percent"


def proofs(benchmark: Mapping[str, Any]) -> str:
    """What the best known values are, in one line."""
    unproven = benchmark["unproven"]
    if not unproven:
        return "every best known value is proven optimal"
    if len(unproven) == len(benchmark["conditions"]):
        return "no optimum is proven: the best known is the best that any method found"
    return f"without a proven optimum: {', '.join(unproven)}"


def markdown(summary: Mapping[str, Any]) -> str:
    """The page of a comparison, whose figure lies beside it."""
    task = summary["task"]
    kind = [
        f"reward `{task['reward']}`",
        f"{summary['placements']} placements",
        *(["hidden condition"] if task.get("hidden_condition") else []),
        *([f"{task['parameter_samples']} parameter samples"] if task.get("parameter_samples") else []),
    ]
    made = f"version {summary['version']}, {summary['date']}, {len(summary['runs'])} policies"
    trained = f"{summary['training_steps']:,.0f} steps and {summary['training_s']:,.0f} s of training"
    machine = f", compared on {summary['processor']}" if summary.get("processor") else ""
    figure = "mean share of the best known by seconds per answer, and the time of many answers"
    lines = [f"# Comparison: {', '.join(kind)}", "", f"By {made}, each after {trained}{machine}.", ""]
    lines += [f"![{figure}](evaluation.svg)"]
    for name, benchmark in summary["sets"].items():
        shares = [f"{100 * share:g} %" for share in dict.fromkeys(row["share"] for row in benchmark["crossings"])]
        lines += [
            *("", f"## {name.capitalize()}", "", f"{caption(name, benchmark)}; {proofs(benchmark)}.", ""),
            *_table(list(HEADINGS), method_rows(benchmark)),
            *("", "Number of answers from which on training has paid for itself, by mean share:", ""),
            *_table(["trained", "search", *shares], crossing_rows(benchmark)),
        ]
    if useless := summary["no_useful_design"]:
        lines += ["", f"Excluded, because no construct is of use: {', '.join(useless)}."]
    return "\n".join([*lines, ""])


def _table(headings: Sequence[str], rows: Iterator[Row]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *rows)]
