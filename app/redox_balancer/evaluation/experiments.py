"""Experiments on human cells that a network should reproduce, read from `data/experiments.toml`."""

from dataclasses import dataclass
from functools import cache
from typing import Self

from pydantic import BaseModel, Field, model_validator

from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.records import Record, packaged, read_records
from redox_balancer.evaluation.verdicts import Finding

Names = tuple[str, ...]


class Block(Record):
    """A defect or an inhibitor: the reactions that it stops, those of them that a model has."""

    reactions: Names = Field(min_length=1)


class Insertion(Record):
    """An enzyme that the library of designs lacks; its capacity is unlimited."""

    reaction: str
    source: str

    @property
    def stoichiometry(self) -> dict[str, float]:
        """Coefficients by metabolite, negative for those consumed."""
        return parse_equation(self.reaction)


class Assay(BaseModel, extra="forbid", frozen=True):
    """One comparison of an experiment; what the paper reports decides what is computed."""

    expected: Finding
    blocks: Names = ()  # what is blocked in the cell with the defect
    medium: Names = ()  # conditions that hold in all cells; a supplement that a model does not know is left out
    without: Names = ()  # supplements that all cells lack, and that a model must know
    adds: Names = ()  # the treatment: conditions
    enzymes: Names = ()  # and enzymes such as LBNOX_c
    lost: str = ""  # the block whose effect is compared with and without `blocks`
    made: str = ""  # species that a flux makes
    taken: str = ""  # or takes
    by: Names = ()  # the reactions that count, those of them that a model has
    ratio: bool = False  # whether the experiment changes NADH/NAD+ rather than a balance

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {
            Finding.RESCUED: self.blocks and (self.adds or self.enzymes),
            Finding.NOT_RESCUED: self.blocks and (self.adds or self.enzymes),
            Finding.FLUX: self.by and bool(self.made) != bool(self.taken),
            Finding.SELECTIVE: len(self.enzymes) == 1 and self.taken,
            Finding.WORSE: self.blocks and self.lost,
        }
        if not needed.get(self.expected):
            raise ValueError(f"lacks what 'expected = {self.expected}' compares")
        return self

    def __str__(self) -> str:
        """The setting in words."""
        parts = [f"{', '.join(self.blocks)} blocked" if self.blocks else "", ", ".join(self.medium)]
        parts += [f"no {name}" for name in self.without] + [f"+ {name}" for name in (*self.adds, *self.enzymes)]
        parts += [f"{self.lost} lost"] if self.lost else []
        parts += [f"{self.made or self.taken} {'made' if self.made else 'taken'}"] if self.made or self.taken else []
        return "; ".join(part for part in parts if part)


class Experiment(Record):
    """A finding of a paper, and the assays that it stands for; `extra` does not count among the experiments."""

    source: str
    finding: str
    extra: bool = False
    assays: tuple[Assay, ...] = Field(min_length=1)


class Miss(Record):
    """Why an experiment comes out so on a model, as far as it was measured; `id` is `<model>:<experiment>`."""

    reason: str


@dataclass(frozen=True)
class ExperimentFile:
    """The content of `data/experiments.toml`, each by its id."""

    experiments: dict[str, Experiment]
    blocks: dict[str, Block]
    insertions: dict[str, Insertion]
    misses: dict[str, Miss]


@cache
def load_experiments() -> ExperimentFile:
    """Return the packaged experiments; a RedoxError if an entry does not match the schema."""
    path = packaged("experiments.toml")
    return ExperimentFile(
        read_records(path, "experiment", Experiment),
        read_records(path, "block", Block),
        read_records(path, "insertion", Insertion),
        read_records(path, "miss", Miss),
    )
