"""A construct proposed for a condition, by a policy or by hand, with its value: the state before any analysis."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from redox_balancer.cell.conditions import HEALTHY, JOIN, Condition, pick_condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.enzymes import PROTEIN_G_PER_GDW
from redox_balancer.design.evaluator import Evaluator, Outcome, Reference, Valued
from redox_balancer.design.growth_limits import growth_of_line
from redox_balancer.design.named_construct import ConstructLike, NamedConstruct, build_construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.designer.play import BATCH, candidates, most_valuable, play_episodes
from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Policy
from redox_balancer.version import __version__

UNITS = {
    "flux": "mmol/gDW/h (growth: 1/h)",
    "growth": "1/h, after the cost of expression",
    "capacity": "mmol NAD(P)H/gDW/h consumed by inserted reactions with growth at the floor, less the price of H2O2",
    "guaranteed": "smallest value of the same quantity at largest growth, mmol/gDW/h",
    "value": "healthy respirations",
    "paid": "by the task of the run: healthy respirations, or with the reward rescue a share of healthy growth",
    "rescue": "share of healthy growth",
    "protein": "share of the proteome",
}


@dataclass(frozen=True)
class Proposal:
    """A construct under a condition, and its value by the plain task, see `DesignSpace.plain`."""

    space: DesignSpace
    construct: Construct
    condition: Condition
    outcome: Outcome
    reference: Reference
    task_value: float  # by the task that a policy was trained on; `outcome.value` where that is the plain task

    @classmethod
    def valued(
        cls, evaluator: Evaluator, construct: Construct, condition: Condition, *, task_value: float | None = None
    ) -> Self:
        """Evaluate a construct; `evaluator` is one of the plain task."""
        space = evaluator.space
        outcome, reference = evaluator.evaluate(construct, condition), evaluator.reference(condition)
        task_value = outcome.value if task_value is None else task_value
        return cls(space, construct, condition, outcome, reference, task_value)

    @classmethod
    def by_name(cls, space: DesignSpace, named: ConstructLike, condition: str) -> Self:
        """Evaluate a named construct, such as `LBNOX_c 0.1 % + AOX_m 0.03 %`, by the plain task.

        Raises
        ------
        RedoxError
            The name cannot be read, or the condition is unknown.
        """
        chosen = find_condition(space, condition)
        own, construct = build_construct(space, NamedConstruct(named))
        with Evaluator(own.plain) as evaluator:
            return cls.valued(evaluator, construct, chosen)

    @property
    def placed(self) -> list[dict[str, Any]]:
        """One row per placement: the enzyme, its parameters with their sources, protein and flux cap."""
        rows = []
        for row, (position, _) in zip(self.space.describe(self.construct), self.construct, strict=True):
            placement = self.space.placements[position]
            enzyme = placement.enzyme.model_dump(mode="json")
            row |= {
                "ec": enzyme["ec"],
                "uniprot": enzyme["uniprot"] and enzyme["uniprot"]["accession"],
                "organism": enzyme["organism"],
                "foreign": placement.foreign,
                "protein_mg_per_gdw": 1000.0 * PROTEIN_G_PER_GDW * row["proteome_fraction"],
                "figures": {name: enzyme[name] for name in ("kcat_per_s", "mass_kda", "km_mm") if enzyme[name]},
            }
            rows.append(row)
        return rows

    @property
    def line_growth(self) -> str:
        """What is to be said of the growth of the cell line alone, in one line; nothing without a line."""
        lines = (line for line in self.space.references if line.id == self.condition.reference)
        return "".join(growth_of_line(self.space.network, line, self.reference.healthy_growth) for line in lines)

    @property
    def protein(self) -> float:
        """Share of the proteome that the construct takes."""
        return self.space.protein(self.construct)

    @property
    def growth_cost(self) -> float:
        """Share of growth that expression costs."""
        return self.protein / self.space.settings.phi_max

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        space = self.space
        shown = {"reaction", "side", "value", "source", "assumed"}
        return {
            "model": space.network.id,
            "condition": self.condition.id,
            "description": self.condition.description,
            "limits": [change.model_dump(include=shown, mode="json") for change in self.condition.changes],
            "construct": self.placed,
            "protein": self.protein,
            "budget": space.budget,
            "membrane_protein": space.spent(self.construct)[1],
            "membrane_budget": space.membrane_budget,
            "protein_mg_per_gdw": 1000.0 * PROTEIN_G_PER_GDW * self.protein,
            "growth_cost": self.growth_cost,
            "value": self.outcome.value,
            "paid": self.task_value,
            "growth": self.outcome.growth,
            "growth_without": self.reference.growth,
            "growth_floor": self.reference.floor,
            "healthy_growth": self.reference.healthy_growth,
            "line_growth": self.line_growth or None,
            "capacity": self.outcome.capacity,
            "rescue": self.outcome.rescue,
            "settings": asdict(space.settings),
            "units": UNITS,
            "version": __version__,
        }


def find_condition(space: DesignSpace, name: object) -> Condition:
    """Condition of a design space by its id; `a+b` is conditions a and b at once.

    Where the space has a single cell line it need not be named: `a` is `line+a`, and `healthy` the line alone.

    Raises
    ------
    RedoxError
        A condition is unknown; the hint lists the known ones.
    """
    if not isinstance(name, str):
        raise RedoxError(f"a condition is given by its id, not by {name!r}", hint="such as 'hypoxia'")
    conditions = {condition.id: condition for condition in space.conditions}
    # A run may have been trained on several conditions at once without any of them alone.
    joint = {condition.id: condition for condition in (*space.references, *space.mixtures, *space.conditions)}
    if len(space.references) == 1 and name.split(JOIN)[0] != (line := space.references[0].id):
        name = line if name == HEALTHY else JOIN.join((line, name))
    return joint[name] if name in joint else pick_condition(conditions, name)


class Proposer:
    """Proposes the constructs of a policy for one condition.

    Everything that takes long to load is loaded by the constructor, so that proposals are quick.

    Parameters
    ----------
    environments
        The environments the policy was trained in.
    policy
        The policy.
    condition
        Id of the condition to design for, `a+b` for two at once.
    """

    def __init__(self, environments: RedoxEnvs, policy: Policy, condition: str) -> None:
        self.condition = find_condition(environments.space, condition)
        self._policy = policy
        space = replace(environments.space, conditions=(self.condition,))
        self._envs = replace(environments, space=space).named(BATCH)
        self._evaluator = self._envs[0].evaluator if space.is_plain else Evaluator(space.plain)

    @property
    def hidden_condition(self) -> bool:
        """Whether the policy was trained without being shown the condition."""
        return self._envs[0].hidden_condition

    def best(self, samples: int = 100, seed: int = 0) -> Proposal:
        """The most valuable of the greedy and of `samples` sampled constructs, by the task of the run.

        Under a hidden condition it is the greedy one, see `candidates`.
        """
        return max((self.greedy(), *self.sampled(samples, seed)), key=lambda proposal: proposal.task_value)

    def greedy(self) -> Proposal:
        """The construct of the most probable actions; the empty one if that is worth less than nothing.

        Under a hidden condition, whose values the policy cannot know, it is never replaced; see `candidates`.
        """
        return self._proposal(most_valuable(candidates(self._envs, self.condition.id, self._policy)))

    def sampled(self, samples: int, seed: int) -> Iterator[Proposal]:
        """Constructs sampled from the policy, as they are played; none under a hidden condition, see `candidates`."""
        generator = np.random.default_rng(seed)
        for start in range(0, 0 if self.hidden_condition else samples, BATCH):
            count = min(BATCH, samples - start)
            played = play_episodes(self._envs, self.condition.id, self._policy, count, generator)
            yield from map(self._proposal, played)

    def _proposal(self, played: Valued) -> Proposal:
        return Proposal.valued(self._evaluator, played.construct, self.condition, task_value=played.outcome.value)
