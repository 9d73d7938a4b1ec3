"""What takes longer than the numbers of a state: fluxes, map, pressure and ratios; in any process, from an order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from redox_balancer.cell.choice import GENOME_SCALE
from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.driving_force import parsimonious_fluxes
from redox_balancer.cell.media import get_medium
from redox_balancer.design.construct import Construct
from redox_balancer.design.diagnosis import Diagnosis
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.pressure import diagnose
from redox_balancer.design.ratio_diagnosis import RatioDiagnosis, diagnose_ratios
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.pathways.layout import fitted_map
from redox_balancer.pathways.picture import DrawnEnzyme, draw
from redox_balancer.progress import Progress, no_progress


@dataclass(frozen=True)
class Order:
    """The cell and the construct that a question is about; it can be sent to another process.

    `title` is that of the map.
    """

    task: Task
    space: DesignSpace
    condition: Condition
    construct: Construct
    title: str

    @property
    def is_large(self) -> bool:
        """Whether the model is genome-scale, where even the fluxes take longer than a page should stand still."""
        return len(self.space.network.reactions) >= GENOME_SCALE


class CellAnalysis:
    """Analyses the cell and the construct of an order; `progress` is that of the ratios."""

    def __init__(self, order: Order, progress: Progress = no_progress) -> None:
        self._order, self._progress = order, progress
        self._space = replace(order.space, conditions=(order.condition,))

    @cached_property
    def fluxes(self) -> Mapping[str, float]:
        """Parsimonious fluxes at largest growth with the construct, mmol/gDW/h; none where the cell does not grow."""
        cell = Formulation(self._space, compressed=False)
        lower, upper = cell.bounds(cell.with_placed(cell.under(self._order.condition), self._order.construct))
        return parsimonious_fluxes(replace(cell.network, lower=lower, upper=upper))

    def used(self) -> dict[str, float]:
        """Share of the capacity of each foreign enzyme that the fluxes use; all 0 where the cell does not grow."""
        rows = self._space.describe(self._order.construct)
        return {
            row["placement"]: abs(self.fluxes.get(row["reaction"], 0.0)) / row["flux_cap_mmol_gdw_h"]
            for row in rows
            if row["reaction"].startswith("SINK_")
        }

    def drawing(self) -> str:
        """The redox map as SVG; a RedoxError where the model lacks most of it."""
        placed = [(self._space.placements[place], level) for place, level in self._order.construct]
        foreign = {each.reaction: each.stoichiometry for each, _ in placed if each.foreign}
        inserted = {
            each.reaction: DrawnEnzyme(each.enzyme.id, each.caps[level] if each.foreign else None)
            for each, level in placed
        }
        return draw(fitted_map(self._space.network, foreign), self.fluxes, inserted, self._order.title)

    def pressure(self) -> Diagnosis:
        """Redox pressure of the cell without the construct, as of `rb.diagnose`."""
        return next(iter(diagnose(self._space)))

    def ratios(self) -> list[RatioDiagnosis]:
        """Ratios of NAD+ to NADH without and with the construct, as of `rb.diagnose_ratios`."""
        medium, construct = get_medium(self._order.task.medium), self._order.construct or None
        levels = medium.concentrations if medium else {}
        return list(diagnose_ratios(self._space, construct=construct, medium=levels, progress=self._progress))
