"""Tables, numbers and constructs as text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

FILE_WIDTH = 240  # width of a table in a file or a pipe, where no cell is cut


def out() -> Console:
    """Console for results: stdout, as wide as the terminal, and wide enough for any table elsewhere."""
    console = _console()
    return console if console.is_terminal else _console(width=FILE_WIDTH)


def notes() -> Console:
    """Console for progress and remarks: stderr."""
    return _console(stderr=True)


def _console(**options: Any) -> Console:
    # Without markup, identifiers in brackets show as they are.
    return Console(highlight=False, markup=False, soft_wrap=True, **options)


def show(headings: Mapping[str, str], rows: Iterable[Sequence[object]]) -> None:
    """Print a `table`."""
    out().print(table(headings, rows))


def table(headings: Mapping[str, str], rows: Iterable[Sequence[object]]) -> Table:
    """A table without lines; `headings` maps each heading to its justification (left or right).

    A cell that is a `Text` keeps its style.
    """
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for position, (heading, justify) in enumerate(headings.items()):
        right = justify == "right"
        made.add_column(heading, justify="right" if right else "left", no_wrap=right or position == 0)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made


def construct_text(placements: Sequence[Mapping[str, Any]]) -> str:
    """A construct in one line: `LBNOX_c 0.1 % + AOX_m 0.03 %`."""
    return " + ".join(f"{p['placement']} {100 * p['proteome_fraction']:g} %" for p in placements) or "nothing"


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many decimals, a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def age_text(seconds: float) -> str:
    """Return a time span in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
