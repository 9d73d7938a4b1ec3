"""The design space: one cell, its placements, the conditions it can be in, and the protein budgets.

`DesignSpace` is data: it pickles, and it holds everything an actor needs. `evaluator.py` computes on it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from redox_balancer.cell.choice import changed_bounds, in_own_terms, opened
from redox_balancer.cell.conditions import HEALTHY, Change, Condition, Side, with_supplies
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import Confidence, Enzyme, EnzymeParameter
from redox_balancer.design.held_ratios import HeldRatios
from redox_balancer.design.placement import ExcludedEntry, Placement, with_insertions
from redox_balancer.design.respiration import NADH_PER_OXYGEN, oxygen_uptake, respiration, unusual_unit
from redox_balancer.design.settings import BUDGET, MEMBRANE_BUDGET, Candidates, Reward
from redox_balancer.errors import RedoxError

LEVELS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)  # proteome fractions that an enzyme can be given


PROVABLE: tuple[Reward, ...] = ("capacity", "rescue")
"""Rewards whose best construct one mixed-integer program finds and proves."""
SEED = 0
SPREADS = {Confidence.MEASURED: 1.2, Confidence.PROXY: 2.0, Confidence.ASSUMED: 3.0}
"""Geometric standard deviation of a kcat, a KM or a saturation by confidence (assumed). Subunit masses follow from
sequences, so their uncertainty is small by comparison."""


@dataclass(frozen=True)
class ValueSettings:
    """Weights of a construct's value, see `evaluator.py`; the defaults are part of its definition.

    Each H2O2 that inserted reactions form and do not remove cancels the NADH oxidised to form it (assumed). Useless
    protein stops growth at a proteome fraction of 0.48: Scott et al. 2010, Science 330:1099, measured in E. coli and
    assumed for human cells.
    """

    reward: Reward = "capacity"
    growth_fraction: float = 0.95  # of the condition's own growth, to be kept while capacity is counted
    healthy_floor: float = 0.05  # least share of healthy growth to be kept, for cells that cannot grow on their own
    growth_penalty: float = 10.0  # loss of value per unit of relative growth below `growth_fraction`
    h2o2_price: float = 1.0  # NAD(P)H deducted for each H2O2 that is left
    protein_price: float = 10.0  # share of growth that a proteome fraction has to win back with `rescue` (assumed)
    phi_max: float = 0.48


@dataclass(frozen=True, eq=False)
class DesignSpace:
    """The cell, what can be built into it, and under which conditions.

    `parameter_samples` are factors of the enzyme capacities of each placement in each parameter sample, shape
    (samples, placements): if there are any, the value of a construct is its mean over them.
    """

    network: Network  # the cell on its medium, with the closed columns of all foreign placements
    placements: tuple[Placement, ...]  # a construct refers to them by position
    levels: tuple[float, ...]  # proteome fractions to choose from
    budget: float  # largest sum of the levels of soluble proteins
    membrane_budget: float  # and of membrane proteins
    conditions: tuple[Condition, ...]
    changes: tuple[Change, ...]  # each bound that some condition changes, once; `opens` where one of them opens it
    capacities: Mapping[str, float]  # native limits at natural abundance, mmol/gDW/h, by reaction
    settings: ValueSettings = field(default_factory=ValueSettings)
    mixtures: tuple[Condition, ...] = ()  # of several conditions, which a policy may be trained on as well
    references: tuple[Condition, ...] = ()  # unperturbed states that conditions refer to: cell lines
    parameter_samples: FloatArray = field(default_factory=lambda: np.ones((0, 0)))
    excluded: tuple[ExcludedEntry, ...] = ()
    ratios: HeldRatios | None = None  # of NAD+ to NADH, where capacities depend on them

    @classmethod
    def build(
        cls,
        network: Network,
        library: Mapping[str, Enzyme],
        conditions: Sequence[Condition],
        *,
        capacities: Mapping[str, float] | None = None,
        levels: Sequence[float] = LEVELS,
        budget: float = BUDGET,
        membrane_budget: float = MEMBRANE_BUDGET,
        saturation: float = 0.05,
        candidates: Candidates = "distinct",
        mixtures: Sequence[Condition] = (),
        references: Sequence[Condition] = (),
        samples: int = 0,
        settings: ValueSettings | None = None,
    ) -> Self:
        """Design space of a cell on its medium.

        Parameters
        ----------
        network
            The cell, on its medium.
        library, conditions, capacities
            Enzymes, conditions and native limits, the last by reaction.
        levels, budget, membrane_budget
            Proteome fractions: the levels to choose from, and the largest sums for soluble and membrane proteins.
        saturation
            Share of kcat at which an enzyme without a known KM operates.
        candidates
            As in `fit`.
        mixtures, references
            Combinations of several of the conditions, and the unperturbed states that they refer to.
        samples
            Number of samples of the uncertain enzyme parameters.
        settings
            Weights of the value.

        Raises
        ------
        RedoxError
            Nothing in the library fits the model, or a condition changes a reaction that the model lacks.
        """
        from redox_balancer.design.fitting import fit  # noqa: PLC0415 - loads SciPy, 17 MB that no actor needs

        with_openings = opened(network, (*references, *conditions))
        network = with_supplies(network, (*references, *conditions))
        conditions, references = in_own_terms(network, conditions), in_own_terms(network, references)
        changes = changed_bounds((*references, *conditions))
        capacities, settings = capacities or {}, settings or ValueSettings()
        limited = capacities.keys() | {change.reaction for change in changes if change.side is Side.FLUX}
        if settings.reward != "sink-flux":
            network = replace(network, repairs=network.repairs + unusual_unit(network))
        fitted = fit(library, with_openings, levels, saturation, limited=limited, candidates=candidates)
        return cls(
            network=with_insertions(network, fitted.placements),
            placements=fitted.placements,
            excluded=fitted.excluded,
            levels=tuple(levels),
            budget=budget,
            membrane_budget=membrane_budget,
            conditions=conditions,
            mixtures=tuple(mixture.of(network) for mixture in mixtures),
            references=references,
            parameter_samples=parameter_samples(fitted.placements, samples, saturation),
            changes=changes,
            capacities=capacities,
            settings=settings,
        )

    @property
    def plain(self) -> Self:
        """The same with the library's own parameters, valued by capacity: the task that the oracle solves."""
        settings = replace(self.settings, reward="capacity")
        return replace(self, settings=settings, parameter_samples=self.parameter_samples[:0])

    @property
    def is_plain(self) -> bool:
        """Whether this is the plain task."""
        return self.settings.reward == "capacity" and not len(self.parameter_samples)

    @property
    def is_provable(self) -> bool:
        """Whether one mixed-integer program proves the best construct, with the library's own parameters."""
        return self.settings.reward in PROVABLE and not len(self.parameter_samples)

    def largest_cap(self, position: int) -> float:
        """Largest enzyme capacity of a placement at any level with any parameter sample, mmol/gDW/h."""
        factors = self.parameter_samples[:, position] if len(self.parameter_samples) else ()
        return max(self.placements[position].caps) * float(max((1.0, *factors)))

    @property
    def actions(self) -> int:
        """Number of actions: one for each placement at each level, and stop."""
        return len(self.placements) * len(self.levels) + 1

    def protein(self, placed: Iterable[tuple[int, int]]) -> float:
        """Proteome fraction that a construct takes, given as such or by its pairs of placement and level index."""
        return sum([self.levels[level] for _, level in placed])

    def describe(self, construct: Construct) -> list[dict[str, Any]]:
        """Placements of a construct as data: enzyme, compartment, proteome fraction and enzyme capacity."""
        return [
            {
                "placement": placement.id,
                "enzyme": placement.enzyme.id,
                "name": placement.enzyme.name,
                "compartment": placement.site.compartment,
                "reaction": placement.reaction,
                "proteome_fraction": self.levels[level],
                "flux_cap_mmol_gdw_h": placement.caps[level],
            }
            for position, level in construct
            for placement in [self.placements[position]]
        ]

    @cached_property
    def in_membrane(self) -> tuple[bool, ...]:
        """Whether each placement is a membrane protein."""
        return tuple(placement.enzyme.membrane for placement in self.placements)

    def spent(self, construct: Construct) -> tuple[float, float]:
        """Proteome fractions that a construct takes for soluble and for membrane proteins."""
        spent = [0.0, 0.0]
        for position, level in construct:
            spent[self.in_membrane[position]] += self.levels[level]
        return spent[0], spent[1]

    def affordable(self, construct: Construct) -> bool:
        """Whether a construct is within both protein budgets."""
        soluble, membrane = self.spent(construct)
        return soluble <= self.budget * (1 + 1e-9) and membrane <= self.membrane_budget * (1 + 1e-9)

    def limits(self, condition: Condition) -> FloatArray:
        """Bound of each of `changes` under a condition, mmol/gDW/h; as in `unchanged` for those that it leaves alone.

        A RedoxError if the condition changes a bound that no condition of this design space changes.
        """
        if any(change.if_unlimited for change in condition.changes):
            condition = condition.of(self.network)
        limits, positions = self.unchanged.copy(), self._change_positions
        # A limit holds for what is opened, too.
        for given in sorted(condition.changes, key=lambda change: not change.opens):
            # Most are in the model's own terms already, and this is called for every sampled condition.
            change = given if given.key in positions else given.of(self.network)
            position = positions.get(change.key)
            if position is None or (change.opens and not self.changes[position].opens):
                raise RedoxError(
                    f"condition {condition.id!r} {'opens' if change.opens else 'limits'} the {change.side} of "
                    f"{change.reaction}, which no condition of this design space does",
                    hint="build the design space with this condition",
                    settings=("conditions",),
                )
            limits[position] = change.value if change.opens else min(limits[position], change.value)
        return limits

    @cached_property
    def unchanged(self) -> FloatArray:
        """Bound of each of `changes` on the medium, mmol/gDW/h: infinite for one that no condition opens."""
        return np.asarray([self.on_medium(change) if change.opens else np.inf for change in self.changes])

    def on_medium(self, change: Change) -> float:
        """Bound that a change opens, as the medium leaves it, mmol/gDW/h; 0 where the model has no such reaction."""
        if change.reaction not in self.network.reaction_index:
            return 0.0
        lower, upper = self.network.bounds_of(change.reaction)
        return max(0.0, -lower if change.side.limits_lower else upper)

    @cached_property
    def _change_positions(self) -> dict[tuple[str, Side], int]:
        return {change.key: position for position, change in enumerate(self.changes)}

    @cached_property
    def healthy(self) -> Condition:
        """The condition in which nothing is changed."""
        unchanged = (condition for condition in self.conditions if not condition.changes)
        return next(unchanged, Condition(id=HEALTHY, description="the cell on its medium"))

    @cached_property
    def oxygen_uptake(self) -> float:
        """Largest oxygen uptake of the healthy cell, mmol/gDW/h; 0 if the model or the medium provides none."""
        return oxygen_uptake(self.network)

    @cached_property
    def capacity_unit(self) -> float:
        """One healthy respiration, the unit of the value, mmol/gDW/h; a RedoxError as in `respiration`.

        With the reward `sink-flux`, whose value is a flux, it scales observations alone and is 2 where the oxygen
        uptake is none or not limited.
        """
        flux = self.settings.reward == "sink-flux" and not 0.0 < self.oxygen_uptake <= OPEN
        return NADH_PER_OXYGEN if flux else respiration(self.network)


def parameter_samples(placements: Sequence[Placement], samples: int, saturation: float) -> FloatArray:
    """Factors of the enzyme capacities of each placement in each parameter sample, shape (samples, placements).

    Every kcat and KM is drawn from a log-normal distribution whose median is the value of the library, and so is the
    saturation of an enzyme without a KM, which cannot exceed 1. An enzyme has the same parameters wherever it is
    placed, and its draws depend neither on the rest of the library nor on the number of samples.
    """
    factors = np.ones((samples, len(placements)))
    for position, placement in enumerate(placements):
        enzyme, concentration = placement.enzyme, placement.cofactor_mm
        usual = enzyme.capacity(1.0, enzyme.saturation(concentration, saturation))
        for sample in range(samples):
            generator = np.random.default_rng([SEED, sample, *enzyme.id.encode()])
            drawn = enzyme.model_copy(
                update={"kcat_per_s": _drawn(enzyme.kcat_per_s, generator)}
                | ({} if enzyme.km_mm is None else {"km_mm": _drawn(enzyme.km_mm, generator)})
            )
            guess = min(1.0, saturation * _factor(Confidence.ASSUMED, generator))
            factors[sample, position] = drawn.capacity(1.0, drawn.saturation(concentration, guess)) / usual
    return factors


def _drawn(parameter: EnzymeParameter, generator: np.random.Generator) -> EnzymeParameter:
    return parameter.model_copy(update={"value": parameter.value * _factor(parameter.confidence, generator)})


def _factor(confidence: Confidence, generator: np.random.Generator) -> float:
    return math.exp(math.log(SPREADS[confidence]) * generator.standard_normal())
