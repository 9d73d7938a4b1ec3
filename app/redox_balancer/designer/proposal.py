"""A construct proposed for a condition, by a policy or by hand, with its value: the state before any analysis."""

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from signal import SIGINT
from threading import Event
from typing import Any, Self

import numpy as np

from redox_balancer.cell.conditions import HEALTHY, JOIN, Condition, pick_condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.enzymes import PROTEIN_G_PER_GDW
from redox_balancer.design.evaluator import Evaluator, Outcome, Reference, Valued
from redox_balancer.design.growth_limits import growth_of_line
from redox_balancer.design.measurement import Measurement
from redox_balancer.design.named_construct import ConstructLike, NamedConstruct, build_construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.play import DRAWS, search_from
from redox_balancer.designer.trained_run import TrainedRun
from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Policy
from redox_balancer.progress import Progress, no_progress
from redox_balancer.runs.signals import stop_on_signals
from redox_balancer.search.belief import Belief
from redox_balancer.search.local import engine, proven
from redox_balancer.search.problem import Problem, Search, SearchResult, require_limits
from redox_balancer.version import __version__

SECONDS, RATIO_SECONDS = 0.2, 1.0
"""Wall time for an answer by default, s, and with the reward `ratio`, where a value takes 60 growth rates."""

UNITS = {
    "flux": "mmol/gDW/h (growth: 1/h)",
    "growth": "1/h, after the cost of expression",
    "capacity": "mmol NAD(P)H/gDW/h consumed by inserted reactions with growth at the floor, less the price of H2O2",
    "guaranteed": "smallest value of the same quantity at largest growth, mmol/gDW/h",
    "value": "by the task, also in search: healthy respirations, or with rescue and ratio a share of the loss",
    "plain_value": "by capacity and the parameters of the library, healthy respirations",
    "paid": "`value` by its name of version 0.1",
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
    task_value: float  # by the task at hand; `outcome.value` where that is the plain task
    found: SearchResult | None = None  # how it was found; None for a construct that was given
    policy: Valued | None = None  # the policy's most probable construct, by the task
    measurement: Measurement | None = None  # that was simulated to find it, under a hidden condition
    sample: int | None = None  # parameter sample of the cell that was measured

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
        """Evaluate a construct by name; a RedoxError where it cannot be read or the condition is unknown."""
        chosen = find_condition(space, condition)
        own, construct = build_construct(space, NamedConstruct(named))
        with Evaluator(own.plain) as evaluator, Evaluator(own) as of_task:
            task_value = None if own.is_plain else of_task.evaluate(construct, chosen).value
            return cls.valued(evaluator, construct, chosen, task_value=task_value)

    @property
    def proof(self) -> str:
        """What is known of better constructs, in a few words; nothing for a construct that was given."""
        found = self.found
        if found is None:
            return ""
        if proven(found.value, found.bound):
            return "proven optimal"
        local = ", no change of one placement is worth more" if found.is_local_optimum else ""
        bound = "" if found.bound is None else f", no construct more than {found.bound:.4f}"
        return f"best found{local}{bound}"

    @property
    def measured(self) -> str:
        """What is to be said of the measurements that led to the construct, in one line; nothing without any."""
        if self.measurement is None or self.found is None:
            return ""
        paid = self.found.paid
        cell = "" if self.sample is None else f" with parameter sample {self.sample}"
        cost = f"; their cost, {paid:.4f}, is deducted" if paid else ""
        return f"measurements simulated for this condition{cell}, noise {self.measurement.noise:g}{cost}"

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
            "value": self.task_value,
            "plain_value": self.outcome.value,
            "paid": self.task_value,
            "growth": self.outcome.growth,
            "growth_without": self.reference.growth,
            "growth_floor": self.reference.floor,
            "healthy_growth": self.reference.healthy_growth,
            "line_growth": self.line_growth or None,
            "capacity": self.outcome.capacity,
            "rescue": self.outcome.rescue,
            "search": self._search_data(),
            "settings": asdict(space.settings),
            "units": UNITS,
            "version": __version__,
        }

    def _search_data(self) -> dict[str, Any] | None:
        found, policy = self.found, self.policy
        if found is None:
            return None
        shown = ("bound", "is_local_optimum", "evaluations", "solves", "seconds")
        return {
            "found_by": found.stage or None,
            "proof": self.proof,
            "proven_optimal": proven(found.value, found.bound),
            **{name: getattr(found, name) for name in shown},
            "measurement": self.measurement
            and {**asdict(self.measurement), "parameter_sample": self.sample, "paid": found.paid},
            "policy": policy and {"value": policy.value, "construct": self.space.describe(policy.construct)},
        }


def find_condition(space: DesignSpace, name: object) -> Condition:
    """Condition of a design space by its id, `a+b` for a and b at once; a RedoxError lists the known ones.

    Where the space has a single cell line it need not be named: `a` is `line+a`, and `healthy` the line alone.
    """
    if not isinstance(name, str):
        raise RedoxError(f"a condition is given by its id, not by {name!r}", hint="such as 'hypoxia'")
    conditions = {condition.id: condition for condition in space.conditions}
    # A run may have been trained on several conditions at once without any of them alone.
    joint = {condition.id: condition for condition in (*space.references, *space.mixtures, *space.conditions)}
    if len(space.references) == 1 and name.split(JOIN)[0] != (line := space.references[0].id):
        name = line if name == HEALTHY else JOIN.join((line, name))
    lines = {line.id for line in space.references}
    if len(lines) > 1 and name.split(JOIN)[0] not in lines:
        hint = f"name the line too, such as {space.references[0].id}{JOIN}hypoxia: {', '.join(sorted(lines))}"
        raise RedoxError(f"condition {name!r} is in no cell line, and there are several", hint=hint)
    return joint[name] if name in joint else pick_condition(conditions, name)


def propose(
    source: TrainedRun | Task, condition: str, construct: ConstructLike | None = None, **search: Any
) -> Proposal:
    """Propose by the policy of a run and the search from it, by the search alone for a task, or a given construct.

    `search` are the arguments of `answer`; a RedoxError where a limit among them comes with a construct.
    """
    limits = tuple(name for name in ("seconds", "evaluations") if search.get(name) is not None)
    if construct is not None and limits:
        hint = "omit the limit of the search, or the construct"
        raise RedoxError("a construct that is given is not searched for", hint=hint, settings=limits)
    policy = None
    if isinstance(source, TrainedRun):
        environments = source.environments()
        policy = source.policy() if construct is None else None
    else:
        environments = RedoxEnvs(
            source.space(),
            placements=source.placements,
            sampling=source.sampling,
            hidden_condition=source.hidden_condition,
            observation=source.observation,
            measurement=source.measurement,
        )
    if construct is not None:
        return Proposal.by_name(environments.space, construct, condition)
    return answer(environments, policy, condition, **search)


def answer(
    environments: RedoxEnvs,
    policy: Policy | None,
    condition: str,
    *,
    seconds: float | None = None,
    evaluations: int | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Proposal:
    """The most valuable construct for a condition, by the task, that the engine finds from the draws of a policy.

    Under a hidden condition the policy answers alone, see `search_from`, and without one a search on a belief does.
    Its measurements are simulated, with noise and cost those of a cell whose parameter sample follows from the seed.

    `seconds` and `evaluations` are the limits of the search, wall time and constructs valued, `SECONDS` where neither
    is given; Ctrl-C ends it too. `progress` receives the seconds so far. A RedoxError if the condition is unknown, a
    limit or the seed as in `require_limits`, or a limit given to a search on a belief, which has none.
    """
    chosen = find_condition(environments.space, condition)
    require_limits(seed, seconds=seconds, evaluations=evaluations)
    given = [name for name, limit in (("seconds", seconds), ("evaluations", evaluations)) if limit is not None]
    on_belief = environments.hidden_condition and policy is None
    if on_belief and given:
        hint = "omit the limit, or search under a condition that is known"
        raise RedoxError("the search for a hidden condition ends by itself", hint=hint, settings=given)
    if not given:
        seconds = RATIO_SECONDS if environments.space.settings.reward == "ratio" else SECONDS
    asked = replace(environments, space=replace(environments.space, conditions=(chosen,))).named
    envs = () if policy is None else asked(DRAWS)  # what they show takes longer to compute than a search
    space, evaluator = asked.space, envs[0].evaluator if envs else Evaluator(asked.space)
    plain = evaluator if space.is_plain else Evaluator(space.plain)
    total = None if seconds is None or math.isinf(seconds) else math.ceil(seconds)
    with nullcontext(Event()) if on_belief else stop_on_signals(only=(SIGINT,)) as stopped:
        started = time.monotonic()

        def stop() -> bool:
            progress("searching", int(time.monotonic() - started), total)
            return stopped.is_set()

        generator, probable, samples = np.random.default_rng(seed), None, len(space.parameter_samples)
        measured = int(generator.integers(samples)) if asked.measurement.of_sample and samples else None
        problem = Problem.under(evaluator, chosen, asked.placements, measured)
        search = Search(problem, evaluations=evaluations, seconds=seconds, stop=stop)
        if policy is not None:
            found, probable = search_from(policy, envs, search, generator)
        elif on_belief:
            search.stage = "search on a belief"
            found = Belief.of(environments, evaluator).search(search, generator)
        else:
            found = engine(search, generator)
    valued = Proposal.valued(plain, found.construct, chosen, task_value=found.value)
    simulated = asked.measurement if asked.hidden_condition else None
    return replace(valued, found=found, policy=probable, measurement=simulated, sample=problem.sample)
