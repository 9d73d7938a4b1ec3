"""The task of a run as settings that a person writes: model, medium, library, conditions, budgets and reward."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from redox_balancer.cell.cell_lines import in_cell_lines, load_cell_lines, pick_cell_lines, skipped_exchanges
from redox_balancer.cell.choice import offered_conditions
from redox_balancer.cell.conditions import HEALTHY, JOIN, Condition, load_conditions, pick_condition
from redox_balancer.cell.measured_rates import with_exact_rates
from redox_balancer.cell.media import apply_medium, get_medium
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Network
from redox_balancer.cell.parametric import REGION_BYTES
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.enzymes import Enzyme, load_library, load_native_capacities
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.held_out import mixtures
from redox_balancer.design.held_ratios import parse_ranges
from redox_balancer.design.measurement import Measurement
from redox_balancer.design.settings import TaskSettings
from redox_balancer.design.space import DesignSpace, ValueSettings
from redox_balancer.errors import RedoxError

SAME = 1e-6  # difference of growth or of a value that is round-off, relative to the healthy cell's


class Task(TaskSettings):
    """Everything that determines the value of a construct.

    Parameters
    ----------
    {parameters}

    Raises
    ------
    RedoxError
        A setting is unknown or out of its limits.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> task = rb.Task(conditions=["healthy", "hypoxia+mdh1_deficiency"], placements=3)
    >>> task.budget
    0.0015
    >>> [condition.id for condition in task.space().conditions]
    ['healthy', 'hypoxia+mdh1_deficiency']

    A model of COBRApy serves as well as a file:

    >>> model = rb.load_model()
    >>> model.reactions.EX_glc__D_e.lower_bound = -0.3
    >>> rb.Task(model=model).model.id
    'human_redox_core'
    """

    @classmethod
    def recorded(cls, settings: Mapping[str, Any]) -> Self:
        """The task in the record of a run, which may be older than some of its settings."""
        settings = {**settings}  # a damaged record is no mapping: a TypeError, as its reader expects
        return cls(**{**cls.before(settings.get("model")), **settings})

    @staticmethod
    def before(model: Any) -> dict[str, Any]:
        """What held before there was a setting for it: models as published, and observations without candidates."""
        return {"as_published": model is not None, "observation": "flat"}

    def network(self) -> Network:
        """The cell on its medium, with the measured rates of its line where they are forced.

        Raises
        ------
        RedoxError
            A file cannot be read, an id is unknown, or measured rates cannot be forced.
        """
        cell = load_network(
            self.model, objective=self.biomass, as_published=self.as_published, curation=self.curation
        )
        network = apply_medium(cell, self.medium)
        if not self.exact_rates:
            return network
        lines = pick_cell_lines(self.cells or (), self.cells_file)
        if len(lines) != 1:
            raise RedoxError(
                f"rates can be forced for one cell line at a time, {len(lines)} are chosen",
                hint="choose one cell line, or let the rates be limits",
                settings=("cells", "exact_rates"),
            )
        return with_exact_rates(network, lines[0])

    def space(self, library: Mapping[str, Enzyme] | None = None) -> DesignSpace:
        """The design space that these settings describe.

        Parameters
        ----------
        library
            Enzymes in place of those of the task; none for the cell alone.

        Raises
        ------
        RedoxError
            A file cannot be read, an id is unknown, or the library does not fit the model.
        """
        network = self.network()
        conditions, left_out = self._chosen_conditions(network)
        mixed = mixtures(conditions) if self.sampling == "mixed" else []
        lines = pick_cell_lines(self.cells or (), self.cells_file)
        network = replace(network, repairs=(*network.repairs, *left_out, *skipped_exchanges(network, lines)))
        cells = [line.condition(network, forced=self.exact_rates) for line in lines]
        space = DesignSpace.build(
            network,
            self._library() if library is None else library,
            in_cell_lines(cells, conditions),
            mixtures=in_cell_lines(cells, mixed),
            references=cells,
            capacities=load_native_capacities(network, as_published=self.as_published),
            budget=self.budget,
            membrane_budget=self.membrane_budget,
            candidates=self.candidates,
            saturation=self.saturation,
            samples=self.parameter_samples,
            settings=ValueSettings(reward=self.reward, protein_price=self.protein_price, h2o2_price=self.h2o2_price),
        )
        if self.held_ratios or self.reward == "ratio":
            from redox_balancer.design.ratio_tables import with_ratios  # noqa: PLC0415 - reads the energies

            medium = get_medium(self.medium)
            space = with_ratios(space, self.held_ratios or (), medium.concentrations if medium else {}, self.ranges())
        elif self.concentrations:
            raise RedoxError(
                "concentrations count only where a ratio is held or looked for",
                hint="hold a ratio, choose the reward 'ratio', or omit them",
                settings=("concentrations", "held_ratios", "reward"),
            )
        if self.enzymes is not None:
            # The library of the package serves any model; one of the user's own is meant to fit as it stands.
            for entry in space.excluded:
                if entry.at_fault:
                    raise RedoxError(
                        f"enzyme placement {entry.id} in model {network.id}: {entry.detail}",
                        hint=f"remove that site from {self.enzymes.name}, or correct its reaction",
                    )
        return space

    def _library(self) -> dict[str, Enzyme]:
        library, without = load_library(self.enzymes), self.without_enzymes or ()
        if unknown := [name for name in without if name not in library]:
            raise RedoxError(
                f"the library has no enzyme {unknown[0]} to leave out",
                hint=f"known: {', '.join(library)}",
                settings=("without_enzymes",),
            )
        return {name: enzyme for name, enzyme in library.items() if name not in without}

    @property
    def measurement(self) -> Measurement:
        """Error and cost of measurements under a hidden condition."""
        return Measurement(self.measurement_noise, self.measurement_cost)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Ranges of concentrations that the task gives, M; a RedoxError where one cannot be read."""
        example = "lac__L_e=2e-3, or pyr_c=5e-5:2e-4 for a range, in M"
        given = parse_ranges(self.concentrations or (), "concentrations", example)
        return {name: span for name, span in given if span}

    def environments(self, *, exact_check: bool = False) -> RedoxEnvs:
        """Factory of the environments to train and evaluate an agent in.

        Parameters
        ----------
        exact_check
            Verify every value against the plain linear programs.

        Raises
        ------
        RedoxError
            As in `space`, and if the cell does not grow.
        """
        space = self.space()
        # An actor would find out too, but only after the folder of the run was created.
        with Evaluator(space) as evaluator:
            said = without_effect(evaluator)
        space = replace(space, network=replace(space.network, repairs=space.network.repairs + said))
        return RedoxEnvs(
            space,
            placements=self.placements,
            sampling=self.sampling,
            hidden_condition=self.hidden_condition,
            observation=self.observation,
            measurement=self.measurement,
            # In two more dimensions a point is in a known region too seldom: to solve takes less time.
            region_bytes=0 if space.ratios and len(space.ratios.held) > 1 else REGION_BYTES,
            exact_check=exact_check,
        )

    def _chosen_conditions(self, network: Network) -> tuple[Sequence[Condition], Sequence[str]]:
        known = load_conditions(self.conditions_file)
        if self.conditions is not None:
            if not self.conditions:
                raise RedoxError("no condition chosen", hint=f"known: {', '.join(known)}", settings=("conditions",))
            for line in (name.split(JOIN)[0] for name in self.conditions):
                if line not in known and line in load_cell_lines(self.cells_file):
                    raise RedoxError(
                        f"{line} is a cell line, and conditions are named without one: they hold in each chosen line",
                        hint="choose the line, and name the condition alone",
                        settings=("cells", "conditions"),
                    )
            return [pick_condition(known, name) for name in self.conditions], ()
        fitting, left_out = offered_conditions(known.values(), network)
        if not fitting:
            raise RedoxError(
                f"none of the conditions fits model {network.id}: it lacks the reactions they change",
                hint="define conditions in the identifiers of the model",
                settings=("conditions_file",),
            )
        return fitting, left_out


def _parameters() -> str:
    """Parameters section of the docstring of `Task`: its fields, which are described in `TaskSettings`."""
    return "\n".join(
        f"    {name} : default {field.default!r}\n        {field.description}"
        for name, field in Task.model_fields.items()
    )


Task.__doc__ = (Task.__doc__ or "").replace("    {parameters}", _parameters())


def without_effect(evaluator: Evaluator) -> tuple[str, ...]:
    """Name, in one line, the conditions that change nothing; nothing if each changes something.

    Compared with the unperturbed cell are growth without a construct, and the value of each enzyme alone at the
    highest level that the budget allows.
    """
    space, empty = evaluator.space, Construct.empty(len(evaluator.space.placements))
    singles = []
    for position in range(len(space.placements)):
        affordable = (empty.place(position, level) for level in range(len(space.levels)))
        singles += [one for one in affordable if space.affordable(one)][-1:]
    unperturbed = {HEALTHY: space.healthy} | {line.id: line for line in space.references}
    unit = evaluator.healthy_growth

    def changes(condition: Condition) -> bool:
        usual = unperturbed[condition.reference]
        growth, usual_growth = (evaluator.reference(one).growth for one in (condition, usual))
        return not math.isclose(growth, usual_growth, abs_tol=SAME * unit) or any(
            not math.isclose(*(evaluator.outcome(single, one).value for one in (condition, usual)), abs_tol=SAME)
            for single in singles
        )

    found = [one.id for one in space.conditions if one not in unperturbed.values() and not changes(one)]
    line = f"conditions that change neither growth nor the value of any enzyme alone: {', '.join(found)}"
    return (line,) if found else ()
