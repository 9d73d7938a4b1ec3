"""The settings of a task: names, defaults, limits and descriptions, without anything that takes long to import.

`Task` adds what they mean; the command line and the public interface are made from them.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from redox_balancer.cell.media import MODEL_MEDIUM
from redox_balancer.cell.medium_file import is_medium_file
from redox_balancer.errors import RedoxError
from redox_balancer.settings import SettingsModel

EMBEDDED = "embedded"  # name of the embedded core where a model file could be given

Sampling = Literal["named", "range", "mixed", "box"]
Candidates = Literal["distinct", "all"]
Observed = Literal["candidates", "flat"]
Reward = Literal["capacity", "guaranteed", "rescue", "ratio", "sink-flux"]

BUDGET = 1.5e-3
"""Share of the proteome for soluble enzymes: about what one strong expression cassette gives (assumed)."""

MEMBRANE_BUDGET = 5e-4
"""Share of the proteome for membrane proteins, a third of the other (assumed): they compete for insertion and for the
area of the inner mitochondrial membrane, which is crowded already, and not for room in the cytosol."""

RENAMED_FIELDS = {"untold": "hidden_condition", "uncertain": "parameter_samples"}
"""Fields that version 0.1 wrote into `config.json` under another name."""


def _absolute(value: Any) -> Any:
    return Path(value).expanduser().resolve() if isinstance(value, str | os.PathLike) else value


def _model(value: Any) -> Any:
    """None for the embedded core, an absolute path, or the COBRApy model that was given."""
    if value is None or value == EMBEDDED:
        return None
    if isinstance(value, str | os.PathLike):
        return _absolute(value)
    # COBRApy takes a second to import, and a caller with a model has imported it.
    if any(base.__module__.startswith("cobra.") and base.__name__ == "Model" for base in type(value).__mro__):
        return value
    raise ValueError("a file, a cobra.Model, 'embedded' or None is expected")


def _medium(value: Any) -> Any:
    """The name of a medium, or the absolute path of a file as a text."""
    if isinstance(value, os.PathLike) or (isinstance(value, str) and is_medium_file(value)):
        return str(_absolute(value))
    return value


def ids(value: Any) -> Any:
    """Ids of a text such as `healthy,hypoxia+mdh1_deficiency`, or of several."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


ModelSource = Annotated[Any, BeforeValidator(_model)]
"""A `Path`, a `cobra.Model`, or None for the embedded core; a type that names COBRApy would import it."""
MediumSource = Annotated[str, BeforeValidator(_medium)]
File = Annotated[Path | None, BeforeValidator(_absolute)]
Ids = Annotated[tuple[str, ...] | None, BeforeValidator(ids)]


class TaskSettings(SettingsModel):
    """Fields of `Task`, each with its default, its limits and its description."""

    model_config = ConfigDict(allow_inf_nan=False)

    model: ModelSource = Field(
        default=None,
        description="Model file: JSON, SBML, MAT or YAML, also compressed; the embedded core by default.",
    )
    medium: MediumSource = Field(
        default=MODEL_MEDIUM,
        description="Medium: a name, a file of uptakes (TOML, TSV, CSV or COBRApy's JSON), or 'model' for the bounds "
        "of the model file.",
    )
    biomass: str | None = Field(
        default=None, description="Reaction whose flux is growth; the objective of the model by default."
    )
    as_published: bool = Field(
        default=False,
        description="Use the model as it was published, without the curation that the package has for it.",
    )
    curation: File = Field(
        default=None, description="Curation of the model (TOML), applied instead of the one that the package has."
    )
    enzymes: File = Field(default=None, description="Enzyme library (TOML); the library of the package by default.")
    without_enzymes: Ids = Field(
        default=None, description="Ids of entries of the enzyme library to leave out, separated by commas in a text."
    )
    conditions: Ids = Field(
        default=None,
        description="Ids of conditions, a+b for two at once, separated by commas in a text; by default all whose "
        "reactions the model has.",
    )
    conditions_file: File = Field(
        default=None, description="File of conditions (TOML); the conditions of the package by default."
    )
    cells: Ids = Field(
        default=None,
        description="Cell lines, whose measured rates limit the exchanges, each with every condition: "
        "HT29+complex_iii_closed; 'all' for every line.",
    )
    cells_file: File = Field(
        default=None, description="Table of cell lines (TSV, CSV); the NCI-60 lines of the package by default."
    )
    exact_rates: bool = Field(
        default=False,
        description="Force the measured rates of the one cell line, within 10 %, instead of limiting the exchanges.",
    )
    sampling: Sampling = Field(
        default="named",
        description="Limits of a condition in training: its own (named), drawn from its ranges (range), or drawn "
        "from the ranges of several conditions at once as well, though never of a held-out combination (mixed), or "
        "drawn from the box of all limits, each changed or not (box).",
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
        "cell grows best (guaranteed), the growth it wins back less the price of its protein (rescue), the same of "
        "NAD+/NADH, the ratio of largest growth in cytosol and matrix (ratio), or the flux "
        "at one optimal vertex, for comparison (sink-flux).",
    )
    protein_price: float = Field(
        default=10.0,
        ge=0,
        description="Share of unperturbed growth, or of the distance of the ratio, that a proteome fraction has to "
        "win back with the rewards 'rescue' and 'ratio': "
        "with 10, 1 % for each 0.1 % of the proteome (assumed).",
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
    held_ratios: Ids = Field(
        default=None,
        description="Compartments whose NAD+/NADH is held, which limits capacities, and drawn for each episode of a "
        "training: c,m, or with values or ranges of your own c=700,m=1:20.",
    )
    concentrations: Ids = Field(
        default=None,
        description="Concentrations or ranges in M where ratios count, lac__L_e=2e-3,pyr_c=5e-5:2e-4; those of the "
        "package, the medium and the condition by default.",
    )
    hidden_condition: bool = Field(
        default=False,
        description="Hide the condition from the agent: it observes growth and capacity after each placement only.",
    )
    observation: Observed = Field(
        default="candidates",
        description="What the agent sees beside the state of the cell: each enzyme that it may place, with its "
        "estimated gain, scored one by one (candidates), or the levels alone, each with an output of its own (flat), "
        "which is the default under a hidden condition.",
    )
    measurement_noise: float = Field(
        default=0.0,
        ge=0,
        description="Under a hidden condition, standard deviation of what is measured: of growth relative to healthy "
        "growth, and of capacity in healthy respirations. With noise or cost, measured is the cell of the episode's "
        "parameter sample.",
    )
    measurement_cost: float = Field(
        default=0.0,
        ge=0,
        description="Under a hidden condition, value deducted for the measurement after each placement.",
    )

    @model_validator(mode="after")
    def _one_curation(self) -> Self:
        if self.as_published and self.curation is not None:
            raise RedoxError(
                "a model as published has no curation",
                hint="choose one of the two",
                settings=("as_published", "curation"),
            )
        return self

    @model_validator(mode="after")
    def _measured_where_hidden(self) -> Self:
        given = [name for name in ("measurement_noise", "measurement_cost") if getattr(self, name)]
        if given and not self.hidden_condition:
            raise RedoxError(
                "nothing is measured under a condition that is known",
                hint="hide the condition, or omit noise and cost of measurements",
                settings=(*given, "hidden_condition"),
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        named = {RENAMED_FIELDS.get(name, name): value for name, value in data.items()}
        # Without gains to be seen, rows of candidates say nothing that their places do not.
        return {"observation": "flat"} | named if named.get("hidden_condition") else named
