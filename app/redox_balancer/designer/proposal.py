"""A construct proposed for a condition, by a policy or by hand, with its value: what is known before any analysis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from redox_balancer import __version__
from redox_balancer.cell.media import Condition
from redox_balancer.cell.records import pick
from redox_balancer.design.by_hand import by_hand, parse_construct
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.enzymes import PROTEIN_G_PER_GDW
from redox_balancer.design.evaluator import Evaluator, Outcome, Reference, Valued
from redox_balancer.design.space import DesignSpace
from redox_balancer.designer.play import BATCH, play
from redox_balancer.impala.policy import Policy

UNITS = {
    "flux": "mmol/gDW/h (growth: 1/h)",
    "growth": "1/h, cost of expression taken off",
    "capacity": "mmol NAD(P)H/gDW/h taken by inserted reactions with growth at the floor, less the price of H2O2",
    "guaranteed": "the least of the same quantity at largest growth, mmol/gDW/h",
    "value": "healthy respirations",
    "paid": "healthy respirations, by the task of the run: mean over uncertain figures, or guaranteed",
    "rescue": "share of healthy growth",
    "protein": "share of the proteome",
}


@dataclass(frozen=True)
class Proposal:
    """A construct under a condition, valued.

    Attributes
    ----------
    space, construct, condition
        What was built, into what, under which limits.
    outcome, reference, healthy_growth
        From the linear programs of `value.py`, by the plain task.
    paid
        What a policy's own training would have paid for it: `outcome.value`, or that of another task.
    """

    space: DesignSpace
    construct: Construct
    condition: Condition
    outcome: Outcome
    reference: Reference
    healthy_growth: float
    paid: float

    @classmethod
    def valued(
        cls, evaluator: Evaluator, construct: Construct, condition: Condition, *, paid: float | None = None
    ) -> Proposal:
        """Value a construct; `evaluator` is one of the plain task."""
        space = evaluator.space
        state = space.state(condition)
        outcome, reference = evaluator.evaluate(construct, state), evaluator.reference(state)
        paid = outcome.value if paid is None else paid
        return cls(space, construct, condition, outcome, reference, evaluator.healthy_growth, paid)

    @property
    def placed(self) -> list[dict[str, Any]]:
        """What is placed, one row each, with everything that is known of the enzyme and where it comes from."""
        rows = []
        for row, (position, _) in zip(self.space.describe(self.construct), self.construct, strict=True):
            placement = self.space.placements[position]
            enzyme = placement.enzyme
            figures = {"kcat_per_s": enzyme.kcat_per_s, "mass_kda": enzyme.mass_kda, "km_mm": enzyme.km_mm}
            rows.append(
                row
                | {
                    "ec": enzyme.ec,
                    "uniprot": enzyme.uniprot.accession if enzyme.uniprot else None,
                    "organism": enzyme.organism,
                    "foreign": placement.foreign,
                    "protein_mg_per_gdw": 1000.0 * PROTEIN_G_PER_GDW * row["proteome_fraction"],
                    "figures": {
                        name: figure.model_dump(mode="json") for name, figure in figures.items() if figure is not None
                    },
                }
            )
        return rows

    @property
    def protein(self) -> float:
        """Share of the proteome that the construct takes."""
        return self.space.protein(self.construct)

    @property
    def growth_cost(self) -> float:
        """Share of growth that expression costs."""
        return self.protein / self.space.settings.phi_max

    def data(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        space = self.space
        told = {"reaction", "side", "value", "source", "assumed"}
        return {
            "model": space.network.id,
            "condition": self.condition.id,
            "description": self.condition.description,
            "limits": [change.model_dump(include=told, mode="json") for change in self.condition.changes],
            "construct": self.placed,
            "protein": self.protein,
            "budget": space.budget,
            "membrane_protein": space.spent(self.construct)[1],
            "membrane_budget": space.membrane_budget,
            "protein_mg_per_gdw": 1000.0 * PROTEIN_G_PER_GDW * self.protein,
            "growth_cost": self.growth_cost,
            "value": self.outcome.value,
            "paid": self.paid,
            "growth": self.outcome.growth,
            "growth_without": self.reference.growth,
            "growth_floor": self.reference.floor,
            "healthy_growth": self.healthy_growth,
            "capacity": self.outcome.capacity,
            "rescue": self.outcome.rescue,
            "settings": asdict(space.settings),
            "units": UNITS,
            "version": __version__,
        }


def named(space: DesignSpace, condition: str) -> Condition:
    """Condition of a design space by its id; an unknown one is a RedoxError that lists the known ones."""
    return pick({entry.id: entry for entry in space.conditions}, condition, "condition")


class Proposer:
    """Asks a policy for constructs; all that takes long to load is loaded when it is made.

    Parameters
    ----------
    environments
        Where the policy was trained.
    policy
        The policy.
    condition
        Id of the condition to design for.
    """

    def __init__(self, environments: RedoxEnvs, policy: Policy, condition: str) -> None:
        self.condition = named(environments.space, condition)
        self._policy = policy
        self._envs = environments.named(BATCH)
        space = environments.space
        self._evaluator = self._envs[0].evaluator if space.is_plain else Evaluator(space.plain)

    def greedy(self) -> Proposal:
        """The construct of the most probable actions."""
        (played,) = play(self._envs, self.condition.id, self._policy, 1, None)
        return self._valued(played)

    def sampled(self, samples: int, seed: int) -> Iterator[Proposal]:
        """Constructs drawn from the policy, a few at a time."""
        generator = np.random.default_rng(seed)
        for start in range(0, samples, BATCH):
            drawn = play(self._envs, self.condition.id, self._policy, min(BATCH, samples - start), generator)
            yield from map(self._valued, drawn)

    def _valued(self, played: Valued) -> Proposal:
        return Proposal.valued(self._evaluator, played.construct, self.condition, paid=played.outcome.value)


def by_text(space: DesignSpace, text: str, condition: str) -> Proposal:
    """Value a construct that somebody wrote down, such as `LBNOX_c 0.1 % + AOX_m 0.03 %`."""
    chosen = named(space, condition)
    own, construct = by_hand(space, parse_construct(text))
    with Evaluator(own.plain) as evaluator:
        return Proposal.valued(evaluator, construct, chosen)
