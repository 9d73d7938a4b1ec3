"""What a run is about, as settings a person writes: model, medium, library, conditions, budget and reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from redox_balancer.cell.media import MODEL_MEDIUM, Condition, apply_medium, load_conditions, pick_condition
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Network
from redox_balancer.cell.records import NonNegative, Positive
from redox_balancer.design.env import RedoxEnvs, Sampling
from redox_balancer.design.enzymes import load_library, load_native_capacities
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.fitting import Candidates
from redox_balancer.design.held_out import mixtures
from redox_balancer.design.space import BUDGET, MEMBRANE_BUDGET, DesignSpace, Reward, ValueSettings
from redox_balancer.errors import RedoxError


class Task(BaseModel):
    """Everything that decides what a construct is worth.

    Attributes
    ----------
    model
        Model file; None for the embedded human redox core.
    biomass
        Reaction whose flux is growth; None for the model's own objective.
    medium
        Name of a medium, or `model` for the bounds the model comes with.
    enzymes, conditions_file
        Library and conditions; None for those of the package.
    conditions
        Ids of conditions, `a+b` for two at once; None for all whose reactions the model has.
    placements
        K, the number of placements of an episode.
    sampling
        `named` takes the conditions' own figures, `range` draws from their ranges, `mixed` from those of several
        at once, too, but never of a held-out combination.
    candidates
        `distinct` leaves out what another entry of the library does with less protein, `all` keeps it.
    budget, membrane_budget
        Largest shares of the proteome that soluble and membrane proteins of a construct may take.
    saturation
        Share of kcat at which an enzyme without a known KM runs in the cell.
    reward
        `capacity`, `guaranteed` or `sink-flux`, see `ValueSettings`.
    uncertain
        Number of sampled sets of the library's uncertain figures that a value is averaged over; 0 takes the figures
        as they stand.
    hidden_condition
        Whether an agent is not told the condition: it sees growth and capacity after each placement only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path | None = None
    biomass: str | None = None
    medium: str = MODEL_MEDIUM
    enzymes: Path | None = None
    conditions_file: Path | None = None
    conditions: tuple[str, ...] | None = None
    placements: Annotated[int, Field(ge=1, le=10)] = 2
    sampling: Sampling = "named"
    candidates: Candidates = "distinct"
    budget: Positive = BUDGET
    membrane_budget: Positive = MEMBRANE_BUDGET
    saturation: Annotated[float, Field(gt=0, le=1)] = 0.05
    reward: Reward = "capacity"
    h2o2_price: NonNegative = 1.0
    uncertain: Annotated[int, Field(ge=0, le=1000)] = 0
    hidden_condition: bool = False

    def network(self) -> Network:
        """The cell on its medium."""
        network = load_network(self.model)
        if self.biomass is not None:
            network = network.with_objective(self.biomass)
        return apply_medium(network, self.medium)

    def space(self) -> DesignSpace:
        """The design space these settings describe.

        Raises
        ------
        RedoxError
            Anything a user can get wrong: a file, an id, a library that does not fit the model.
        """
        network = self.network()
        conditions = self._chosen_conditions(network)
        space = DesignSpace.build(
            network,
            load_library(self.enzymes),
            conditions,
            mixtures=mixtures(conditions) if self.sampling == "mixed" else (),
            capacities=load_native_capacities(network),
            budget=self.budget,
            membrane_budget=self.membrane_budget,
            candidates=self.candidates,
            saturation=self.saturation,
            uncertain=self.uncertain,
            settings=ValueSettings(reward=self.reward, h2o2_price=self.h2o2_price),
        )
        if self.enzymes is not None:
            # The package's library serves any model; a library of one's own is meant as it stands.
            for entry in space.excluded:
                if entry.at_fault:
                    raise RedoxError(
                        f"enzyme placement {entry.id} in model {network.id}: {entry.detail}",
                        hint=f"remove that site from {self.enzymes.name}, or mend its reaction",
                    )
        return space

    def environments(self, *, exact_check: bool = False) -> RedoxEnvs:
        """The environments an agent is trained and measured in; with `exact_check` they solve everything twice.

        Raises
        ------
        RedoxError
            As `space`, and where nothing grows.
        """
        space = self.space()
        # An actor would find out too, but only after a run's folder is there.
        Evaluator(space).close()
        return RedoxEnvs(
            space,
            placements=self.placements,
            sampling=self.sampling,
            hidden_condition=self.hidden_condition,
            exact_check=exact_check,
        )

    def _chosen_conditions(self, network: Network) -> Sequence[Condition]:
        known = load_conditions(self.conditions_file)
        if self.conditions is not None:
            if not self.conditions:
                raise RedoxError("no condition chosen", hint=f"known: {', '.join(known)}")
            return [pick_condition(known, name) for name in self.conditions]
        fitting = [condition for condition in known.values() if not condition.missing_from(network)]
        if not fitting:
            raise RedoxError(
                f"none of the conditions fits model {network.id}: the reactions they lower are not in it",
                hint="give conditions in the model's own identifiers",
            )
        return fitting


def task_from(settings: Mapping[str, Any]) -> Task:
    """Task of these settings, its files by their full path; what is out of range is a RedoxError."""
    try:
        return Task.model_validate(
            {name: value.resolve() if isinstance(value, Path) else value for name, value in settings.items()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise RedoxError(
            f"--{name} {first['input']}: {first['msg']}", hint="redox train --help says what fits"
        ) from None
