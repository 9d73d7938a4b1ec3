"""Designs: a construct for a condition, its analysis in the whole model, and the files of it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from redox_balancer.api.inputs import require_task
from redox_balancer.cell.conditions import HEALTHY
from redox_balancer.design.named_construct import ConstructLike, NamedConstruct
from redox_balancer.design.task import Task
from redox_balancer.designer.proposal import propose
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.pathways import State

if TYPE_CHECKING:
    import cobra
    import pandas as pd

    from redox_balancer.designer.analysis import Analysis
    from redox_balancer.designer.design import Design
    from redox_balancer.designer.model import DesignedCell
    from redox_balancer.designer.redox_map import RedoxMap
    from redox_balancer.search.problem import SearchResult


@dataclass(frozen=True, eq=False, repr=False)
class ConstructDesign:
    """A construct for a condition, analysed in the whole model.

    Attributes
    ----------
    design
        Proposal and analysis.
    task
        The task that it answers.
    cell
        The model with the construct, under the condition, by COBRApy, which is loaded when it is asked for; a
        RedoxError if COBRApy finds another growth or capacity.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> task = rb.Task(conditions="complex_iii_closed")
    >>> design = rb.design(task, "complex_iii_closed", construct="LBNOX_c 0.1 %")
    >>> print(design)
    complex_iii_closed: LBNOX_c 0.1 %, value 0.5822, growth 0.00679 1/h, capacity 1.0037 mmol/gDW/h
    >>> round(design.model.slim_optimize(), 5)  # growth, after the cost of expression
    0.00679
    >>> round(design.analysis.guaranteed, 4)
    0.2412
    """

    design: "Design"
    task: Task

    @cached_property
    def cell(self) -> "DesignedCell":
        """The model with the construct, and what of it is the construct."""
        from redox_balancer.designer.model import checked_cell  # noqa: PLC0415 - loads COBRApy

        return checked_cell(self.task, self.design)[0]

    @property
    def condition(self) -> str:
        """Id of the condition."""
        return self.design.proposal.condition.id

    @property
    def construct(self) -> NamedConstruct:
        """The construct."""
        return NamedConstruct.of(self.design.proposal.space, self.design.proposal.construct)

    @property
    def value(self) -> float:
        """Value of the construct by the task, as of `evaluate` and `search`."""
        return self.design.proposal.task_value

    @property
    def plain_value(self) -> float:
        """Its value by capacity and the parameters of the library, whatever the task, in healthy respirations."""
        return self.design.proposal.outcome.value

    @property
    def proof(self) -> str:
        """What is known of better constructs, such as `proven optimal` or `best found`; empty if it was given."""
        return self.design.proposal.proof

    @property
    def search(self) -> "SearchResult | None":
        """How the construct was found: value, bound, `stage`, cost; None for one that was given."""
        return self.design.proposal.found

    @property
    def policy_alone(self) -> tuple[NamedConstruct, float] | None:
        """The policy's most probable construct and its value; None without a policy."""
        proposal = self.design.proposal
        if proposal.policy is None:
            return None
        return NamedConstruct.of(proposal.space, proposal.policy.construct), proposal.policy.value

    @property
    def analysis(self) -> "Analysis":
        """Growth, capacity, guaranteed minimum, parsimonious fluxes, flux ranges and production envelope."""
        return self.design.analysis

    @property
    def model(self) -> "cobra.Model":
        """The model with the construct, under the condition; its objective is growth after expression, 1/h."""
        return self.cell.model

    def __repr__(self) -> str:
        return f"ConstructDesign({self})"  # not the model, which takes pages

    def __str__(self) -> str:
        return f"{self.condition}: {self.construct}, {replace(self.design.proposal.outcome, value=self.value)}"

    def to_frame(self) -> "pd.DataFrame":
        """Table of the fluxes and flux ranges of inserted and NAD(P)H-linked reactions, mmol/gDW/h."""
        return self.analysis.to_frame()


def design(
    source: TrainedRun | Task,
    condition: str = HEALTHY,
    *,
    construct: ConstructLike | None = None,
    seconds: float | None = None,
    evaluations: int | None = None,
    seed: int = 0,
) -> ConstructDesign:
    """Design a construct for a condition and analyse it in the whole model.

    Parameters
    ----------
    source
        A training run, from whose policy's constructs the search starts, or a task, for a search without a policy.
    condition
        Id of a condition of the task, `a+b` for two at once.
    construct
        A construct to analyse in place of one that is searched for.
    seconds, evaluations
        Wall time, and constructs valued, after which the search ends with the best one; 0.2 seconds where neither is
        given, 1 with `reward="ratio"`. It ends before with a proof; Ctrl-C ends it too. With evaluations alone the
        same seed gives the same answer, and only a small space a proof. Where the policy was trained with a hidden
        condition, there is no search: it answers alone.
    seed
        Seed of the constructs that the search starts from.

    Raises
    ------
    RedoxError
        The condition or a placement is unknown, a limit is not positive or comes with a construct, or the files that
        the run was trained on have changed.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> design = rb.design(rb.Task(), "complex_iii_closed", construct="LBNOX_c 0.1 % + AOX_m 0.03 %")
    >>> print(design.construct)
    LBNOX_c 0.1 % + AOX_m 0.03 %
    >>> design.to_frame().loc[["SINK_LBNOX_c", "SINK_AOX_m"], ["flux_without", "flux"]].round(3)
                  flux_without   flux
    reaction
    SINK_LBNOX_c           0.0  0.221
    SINK_AOX_m             0.0  0.130
    >>> best = rb.design(rb.Task(), "complex_iii_closed", seconds=20)
    >>> print(best.construct, best.proof, sep=": ")
    LBNOX_c 0.1 % + TPNOX_c 0.03 %: proven optimal
    """
    from redox_balancer.designer.design import make_design  # noqa: PLC0415

    task = source.task if isinstance(source, TrainedRun) else require_task(source)
    proposal = propose(source, condition, construct, seconds=seconds, evaluations=evaluations, seed=seed)
    return ConstructDesign(make_design(proposal), task)


def export(design: ConstructDesign, folder: str | Path) -> list[Path]:
    """Write a design into a folder, as files that other programs open.

    Parameters
    ----------
    design
        As of `design`.
    folder
        Created where it does not exist; an earlier design in it is replaced.

    Returns
    -------
    list of Path
        The model with the construct as SBML and JSON, both verified by COBRApy; fluxes for Escher; tables; the
        production envelope as SVG and PNG; and `design.json` with everything, units and sources.

    Raises
    ------
    RedoxError
        The folder cannot be written, or COBRApy finds another growth or capacity in the exported models.

    Examples
    --------
    >>> import tempfile
    >>> import redox_balancer as rb
    >>> design = rb.design(rb.Task(), "complex_iii_closed", construct="LBNOX_c 0.1 %")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in rb.export(design, folder)][:3]
    ['model.xml', 'model.json', 'fluxes.json']
    """
    from redox_balancer.designer import export as exporter  # noqa: PLC0415 - loads COBRApy

    folder = Path(folder)
    return [folder / name for name in exporter.export(design.cell, design.design, folder)]


def redox_map(design: ConstructDesign, *, state: State = "growth") -> "RedoxMap":
    """Draw a design on the map of redox metabolism.

    Parameters
    ----------
    design
        As of `design`.
    state
        `growth`, the cell at largest growth; `capacity`, at the largest NAD(P)H consumption of the construct; or
        `without` the construct.

    Returns
    -------
    RedoxMap
        Shown by a notebook; `save`, `save_escher` and `save_fluxes` write it to files.

    Raises
    ------
    RedoxError
        The cell has no fluxes in this state, or the model has too few reactions of the map.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> design = rb.design(rb.Task(), "complex_i_closed", construct="NDI1_m 0.03 %")
    >>> rb.redox_map(design)
    RedoxMap(complex i closed, NDI1_m 0.03 %, growth 0.0356 → 0.0474 1/h)
    """
    from redox_balancer.designer.redox_map import RedoxMap  # noqa: PLC0415

    return RedoxMap.of(design.design, state)
