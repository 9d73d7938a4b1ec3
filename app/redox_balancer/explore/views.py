"""What the page says of a state, as HTML: each number with all its digits in an attribute."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape

from redox_balancer.design.diagnosis import KINDS
from redox_balancer.design.ratio_diagnosis import two_digits
from redox_balancer.errors import RedoxError
from redox_balancer.explore.analysis import CellAnalysis, Order
from redox_balancer.explore.numbers import ExploredCell
from redox_balancer.explore.state import ExploreState
from redox_balancer.progress import Progress

Row = tuple[str, str, float, str]
"""Key, label, value, and the text that is shown of it."""
View = Callable[[CellAnalysis], str]


def numbers(cell: ExploredCell, state: ExploreState) -> str:
    """Value, growth, capacity and protein."""
    found, space = cell.numbers(state), cell.space
    outcome, reference = found.outcome, found.reference
    rows: list[Row] = [
        ("growth", "growth", outcome.growth, f"{outcome.growth:.5f} 1/h"),
        ("growth_without", "growth without enzymes", reference.growth, f"{reference.growth:.5f} 1/h"),
        ("healthy_growth", "healthy growth", reference.healthy_growth, f"{reference.healthy_growth:.5f} 1/h"),
        ("value", "value", outcome.value, f"{outcome.value:.4f}"),
        ("capacity", "NAD(P)H capacity", outcome.capacity, f"{outcome.capacity:.4f} mmol/gDW/h"),
        ("rescue", "healthy growth restored", outcome.rescue, f"{100 * outcome.rescue:.1f} %"),
        ("soluble", "soluble protein", found.soluble, _budget(found.soluble, space.budget)),
        ("membrane", "membrane protein", found.membrane, _budget(found.membrane, space.membrane_budget)),
        ("growth_cost", "growth that expression costs", found.growth_cost, f"{100 * found.growth_cost:.2g} %"),
    ]
    said = ""
    if not outcome.growth:
        said = "<p class=warning>The cell does not grow here: raise an uptake or a limit, or put an enzyme in.</p>"
    if not found.within_budget:
        said += "<p class=warning>This is more protein than the budget.</p>"
    return f'<div data-state="{escape(state.query())}">{said}{_table("numbers", rows)}</div>'


def spoken(cell: ExploredCell, state: ExploreState) -> str:
    """The numbers that matter most in a sentence, for those who listen to the page."""
    outcome = cell.numbers(state).outcome
    return f"growth {outcome.growth:.4f} per hour, value {outcome.value:.3f}, capacity {outcome.capacity:.3f}"


def used(analysis: CellAnalysis) -> str:
    """How much of the capacity of each foreign enzyme the fluxes of the map use."""
    rows = [(f"used-{name}", name, share, f"{100 * share:.0f} %") for name, share in analysis.used().items()]
    return _table("used", rows) if rows else "<p>No foreign enzyme is put in.</p>"


def redox_map(analysis: CellAnalysis) -> str:
    """The map with the fluxes at largest growth, or one line where there is none."""
    if not analysis.fluxes:
        return "<p class=warning>No map: a cell that does not grow has no fluxes.</p>"
    try:
        return analysis.drawing()
    except RedoxError as error:
        return f"<p>{escape(error.message)}</p>"


def pressure(analysis: CellAnalysis) -> str:
    """Redox pressure: what is won back at each pool, without the construct."""
    try:
        found = analysis.pressure()
    except RedoxError as error:
        return f"<p>{escape(error.message)}</p>"
    head = "".join(f"<th scope=col>{kind}" for kind in KINDS)
    shares = {kind: found.shares(kind) if found.growth or found.lost else {} for kind in KINDS}
    body = ""
    for pool in found.pressures:
        cells = "".join(
            f'<td data-name="{kind}-{pool.pool}" data-value="{share!r}">{100 * share:.0f} %'
            if (share := shares[kind].get(pool)) is not None and getattr(pool, kind)
            else "<td>-"
            for kind in KINDS
        )
        body += f"<tr><th scope=row>{escape(str(pool))}{cells}"
    text = escape(str(found).partition(": ")[2])
    return f"<p>{text}</p><table id=pressure><tr><th scope=col>pool{head}{body}</table>"


def ratios(analysis: CellAnalysis) -> str:
    """Ratios of NAD+ to NADH of largest growth, and those at which 95 % of it is left."""
    try:
        found = analysis.ratios()
    except RedoxError as error:
        return f"<p>{escape(error.message)}</p>"
    rows = ""
    for name, one in zip(("without enzymes", "with them"), found, strict=False):
        if not one.optima:
            rows += f"<tr><th scope=row>{name}<td colspan=4>not known: the cell does not grow"
        for optimum in one.optima:
            best = "not one" if optimum.best is None else two_digits(optimum.best)
            rows += (
                f'<tr><th scope=row>{name}<td>{escape(str(optimum.ratio))}<td data-name="best" '
                f'data-value="{optimum.best!r}">{best}<td data-name="low" data-value="{optimum.low!r}">'
                f"{two_digits(optimum.low)}<td data-name=high data-value={optimum.high!r}>{two_digits(optimum.high)}"
            )
    head = "".join(f"<th scope=col>{text}" for text in ("cell", "ratio", "of largest growth", "from", "to"))
    return f"<table id=ratios><tr>{head}{rows}</table>"


NUMBERS, RATIOS = "numbers", "ratios"
VIEWS: Mapping[str, View] = {"used": used, "map": redox_map, "pressure": pressure, RATIOS: ratios}
"""What is analysed of a state beside its numbers, in the order in which it is computed."""
HEADINGS: Mapping[str, str] = {
    NUMBERS: "Numbers",
    "used": "Capacity used of the enzymes put in",
    "map": "Redox map",
    "pressure": "Redox pressure, without the enzymes put in",
    RATIOS: "NAD+/NADH",
}
"""Heading of each part of the page."""


def analysed(order: Order, parts: Sequence[str], progress: Progress) -> Iterator[tuple[str, str]]:
    """Some parts of an order, each as soon as it is known."""
    analysis = CellAnalysis(order, progress)
    for part in parts:
        yield part, VIEWS[part](analysis)


def _budget(protein: float, budget: float) -> str:
    return f"{100 * protein:.3g} % of the proteome, {100 * protein / budget:.0f} % of the budget"


def _table(name: str, rows: Iterable[Row]) -> str:
    body = "".join(
        f'<tr><th scope=row>{escape(label)}<td data-name="{escape(key)}" data-value="{value!r}">{escape(text)}'
        for key, label, value, text in rows
    )
    return f"<table id={name}>{body}</table>"
