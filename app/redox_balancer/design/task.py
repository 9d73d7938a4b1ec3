"""The task of a run as settings that a person writes: model, medium, library, conditions, budgets and reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from redox_balancer.cell.media import MODEL_MEDIUM, Condition, apply_medium, load_conditions, pick_condition
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Network
from redox_balancer.design.env import RedoxEnvs, Sampling
from redox_balancer.design.enzymes import load_library, load_native_capacities
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.fitting import Candidates
from redox_balancer.design.held_out import mixtures
from redox_balancer.design.space import BUDGET, MEMBRANE_BUDGET, DesignSpace, Reward, ValueSettings
from redox_balancer.errors import RedoxError

RENAMED_FIELDS = {"untold": "hidden_condition", "uncertain": "parameter_samples"}
"""Fields that version 0.1 wrote into `config.json` under another name."""


class Task(BaseModel):
    """Everything that determines the value of a construct.

    The attributes are the fields below; each has its description, its default and its limits there, and nowhere else
    (`Task.model_fields`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: Path | None = Field(
        default=None, description="Model file (JSON, SBML, MAT or YAML, also .gz); the embedded core by default."
    )
    medium: str = Field(default=MODEL_MEDIUM, description="Medium, or 'model' for the bounds of the model file.")
    biomass: str | None = Field(
        default=None, description="Reaction whose flux is growth; the objective of the model by default."
    )
    enzymes: Path | None = Field(
        default=None, description="Enzyme library (TOML); the library of the package by default."
    )
    conditions: tuple[str, ...] | None = Field(
        default=None,
        description="Ids of conditions, a+b for two at once; by default all whose reactions the model has.",
    )
    conditions_file: Path | None = Field(
        default=None, description="File of conditions (TOML); the conditions of the package by default."
    )
    sampling: Sampling = Field(
        default="named",
        description="Limits of a condition in training: its own (named), drawn from its ranges (range), or drawn "
        "from the ranges of several conditions at once as well, though never of a held-out combination (mixed).",
    )
    placements: int = Field(default=2, ge=1, le=10, description="Maximum number of placements in a construct (K).")
    candidates: Candidates = Field(
        default="distinct",
        description="Enzymes to choose from; 'distinct' excludes those that another one dominates, doing the same "
        "with less protein.",
    )
    budget: float = Field(
        default=BUDGET, gt=0, description="Protein budget of soluble enzymes, as a proteome fraction."
    )
    membrane_budget: float = Field(
        default=MEMBRANE_BUDGET, gt=0, description="Protein budget of membrane proteins, as a proteome fraction."
    )
    saturation: float = Field(
        default=0.05, gt=0, le=1, description="Share of kcat at which an enzyme without a known KM operates."
    )
    reward: Reward = Field(
        default="capacity",
        description="Value of a construct: the most NAD(P)H it can take (capacity), the least it takes while the "
        "cell grows best (guaranteed), or the flux at one optimal vertex, for comparison (sink-flux).",
    )
    h2o2_price: float = Field(
        default=1.0, ge=0, description="NAD(P)H deducted for each H2O2 that a construct forms and does not remove."
    )
    parameter_samples: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Number of samples of the uncertain enzyme parameters to average the value over, 64 being a good "
        "choice; 0 uses the parameters of the library.",
    )
    hidden_condition: bool = Field(
        default=False,
        description="Hide the condition from the agent: it observes growth and capacity after each placement only.",
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, data: Any) -> Any:
        return (
            {RENAMED_FIELDS.get(name, name): value for name, value in data.items()}
            if isinstance(data, dict)
            else data
        )

    def network(self) -> Network:
        """The cell on its medium."""
        network = load_network(self.model)
        if self.biomass is not None:
            network = network.with_objective(self.biomass)
        return apply_medium(network, self.medium)

    def space(self) -> DesignSpace:
        """The design space that these settings describe.

        Raises
        ------
        RedoxError
            A file cannot be read, an id is unknown, or the library does not fit the model.
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
            samples=self.parameter_samples,
            settings=ValueSettings(reward=self.reward, h2o2_price=self.h2o2_price),
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
                raise RedoxError("no condition chosen", hint=f"known: {', '.join(known)}", settings=("conditions",))
            return [pick_condition(known, name) for name in self.conditions]
        fitting = [condition for condition in known.values() if not condition.missing_from(network)]
        if not fitting:
            raise RedoxError(
                f"none of the conditions fits model {network.id}: it lacks the reactions they change",
                hint="define conditions in the identifiers of the model",
                settings=("conditions_file",),
            )
        return fitting


def task_from(settings: Mapping[str, Any]) -> Task:
    """Task of these settings, with absolute paths.

    Raises
    ------
    RedoxError
        A setting is unknown or out of its limits.
    """
    try:
        return Task.model_validate(
            {name: value.resolve() if isinstance(value, Path) else value for name, value in settings.items()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        known = Task.model_fields.get(name)
        raise RedoxError(
            f"{name} = {first['input']}: {first['msg']}",
            hint=(known.description or "") if known else f"known: {', '.join(Task.model_fields)}",
            settings=(name,) if known else (),
        ) from None
