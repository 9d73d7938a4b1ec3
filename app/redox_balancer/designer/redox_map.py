"""The redox map of a design: where its electrons go, as a picture and as files that Escher loads.

The fluxes are those of the analysis, parsimonious, so nothing is solved again.
"""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from redox_balancer.designer.design import Design
from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically
from redox_balancer.pathways import State
from redox_balancer.pathways.layout import EscherMap, fitted_map
from redox_balancer.pathways.picture import DrawnEnzyme, picture


@dataclass(frozen=True, eq=False)
class RedoxMap:
    """A map of the cell with the fluxes of one state.

    Attributes
    ----------
    title
        What is shown, in one line.
    escher
        The map as Escher's format has it, in the ids of the model.
    fluxes
        Flux of each reaction of the model, mmol/gDW/h.
    inserted
        The enzymes of the construct, by reaction.

    Examples
    --------
    >>> import tempfile
    >>> import redox_balancer as rb
    >>> drawn = rb.redox_map(rb.design(rb.Task(), "complex_i_closed", construct="NDI1_m 0.03 %"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     drawn.save(f"{folder}/map.svg").name
    'map.svg'
    """

    title: str
    escher: EscherMap
    fluxes: dict[str, float]
    inserted: dict[str, DrawnEnzyme]

    @classmethod
    def of(cls, design: Design, state: State = "growth") -> "RedoxMap":
        """Draw a design in one state; a RedoxError where it has none, or the model has too little of the map."""
        proposal, analysis = design.proposal, design.analysis
        reference, outcome, condition = proposal.reference, proposal.outcome, proposal.condition.id
        states = {
            "growth": (analysis.fluxes, f"growth {reference.growth:.4f} → {outcome.growth:.4f} 1/h"),
            "capacity": (analysis.fluxes_at_capacity, f"at its capacity, growth {reference.floor:.4f} 1/h"),
            "without": (analysis.fluxes_without, f"growth {reference.growth:.4f} 1/h"),
        }
        if state not in states:
            raise RedoxError(f"{state!r} is no state of a cell", hint=f"one of {', '.join(states)}")
        fluxes, growth = states[state]
        if fluxes is None:
            raise RedoxError(
                f"{condition}: the cell has no fluxes in the state {state!r}",
                hint="choose another state or construct",
            )
        placed = (
            [] if state == "without" else [proposal.space.placements[position] for position, _ in proposal.construct]
        )
        caps = {row["reaction"]: row["flux_cap_mmol_gdw_h"] for row in proposal.placed}
        inserted = {
            placement.reaction: DrawnEnzyme(
                placement.enzyme.id, caps[placement.reaction] if placement.foreign else None
            )
            for placement in placed
        }
        foreign = {placement.reaction: placement.stoichiometry for placement in placed if placement.foreign}
        names = " + ".join(
            f"{row['placement']} {100 * row['proteome_fraction']:g} %" for row in proposal.placed if placed
        )
        title = ", ".join(part for part in (condition.replace("_", " "), names, growth) if part)
        return cls(title, fitted_map(proposal.space.network, foreign), fluxes, inserted)

    @classmethod
    def if_any(cls, design: Design) -> "RedoxMap | None":
        """The map of a design at largest growth; None where the cell has no fluxes, or the model lacks most of it."""
        try:
            return cls.of(design)
        except RedoxError:
            return None

    def svg(self) -> str:
        """The map as an `<svg>` element; nothing in it is loaded from elsewhere."""
        return ET.tostring(self.picture(), encoding="unicode")

    def picture(self) -> ET.Element:
        """The same as an element."""
        return picture(self.escher, self.fluxes, self.inserted, self.title)

    _repr_svg_ = svg

    def __repr__(self) -> str:
        return f"RedoxMap({self.title})"

    def save(self, file: str | Path) -> Path:
        """Write the picture to a file, as SVG."""
        return _write(file, self.svg())

    def save_escher(self, file: str | Path) -> Path:
        """Write the map to a file that Escher loads (Map, Load map JSON)."""
        return _write(file, json.dumps(self.escher, ensure_ascii=False, indent=0))

    def save_fluxes(self, file: str | Path) -> Path:
        """Write the fluxes to a file that Escher loads (Data, Load reaction data): CSV by its suffix, else JSON."""
        if Path(file).suffix != ".csv":
            return _write(file, json.dumps(self.fluxes, indent=0))
        table = io.StringIO()
        csv.writer(table).writerows([("reaction", "flux"), *self.fluxes.items()])
        return _write(file, table.getvalue())


def _write(file: str | Path, text: str) -> Path:
    write_atomically(Path(file), text.encode())
    return Path(file)
