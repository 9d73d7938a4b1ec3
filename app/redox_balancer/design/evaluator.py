"""The value of a construct, from optimal values of linear programs only.

A single flux of an optimal vertex is not unique; the optimum is. Two programs are solved:

(a) mu* = largest growth;
(b) capacity = largest NAD(P)H sink capacity: the NAD(P)H that inserted reactions take from the pools, less the price
    of the H2O2 they leave, with growth held at floor = max(0.95 mu_wt(condition), 0.05 mu_wt(healthy)).

    value = capacity / (2 x healthy oxygen uptake) + rescue - 10 x max(0, 0.95 - mu / mu_wt(condition))

One O2 takes four electrons, that is two NAD(P)H: capacity is measured in healthy respirations. mu is growth after the
cost of expression, see `formulation`, which also applies in the floor. rescue = (mu - mu_wt(condition)) /
mu_wt(healthy) where the condition reduces growth, else 0. The empty construct has the value 0. Under a condition of
a cell line, such as `HT29+hypoxia`, healthy growth is that of the line alone, see `Condition.reference`.

With the reward `guaranteed` the capacity is the least that inserted reactions take at largest growth: the part that
is coupled to growth. With the reward `rescue` program (a) alone counts, and capacity is 0:

    value = (min(mu, unperturbed) - mu_wt(condition)) / mu_wt(healthy) - protein_price x proteome fraction

where unperturbed is the larger of mu_wt(healthy) and mu_wt(condition): 1 is the most, and in a cell that lacks no
growth every construct is worth less than nothing. Growth per protein as a quotient would be largest for the smallest
amount of an enzyme, however little that wins back. With the reward `ratio`, won replaces the first term, see
`ratio_reward`, and stands for rescue as well. With parameter samples the value is the mean over them.
"""

import itertools
from dataclasses import astuple, dataclass
from typing import Any, Self, TypeVar

import numpy as np

from redox_balancer.cell.conditions import HEALTHY, Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.parametric import AGREEMENT, REGION_BYTES
from redox_balancer.cell.records import pick
from redox_balancer.design.construct import Construct
from redox_balancer.design.formulation import (
    AT_OPTIMUM,
    NO_GROWTH,
    Formulation,
    UnmodifiedCell,
    growth_floor,
    growth_kept,
    held_biomass_flux,
    reaches_floor,
)
from redox_balancer.design.held_ratios import HeldCondition
from redox_balancer.design.named_construct import NamedConstruct
from redox_balancer.design.programs import ValuePrograms
from redox_balancer.design.ratio_reward import Best, RatioReward, won_back
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

Key = TypeVar("Key")
Entry = TypeVar("Entry")

CACHE_ENTRIES = 5_000
CACHE_DROP = 1_000
CONDITIONS = 1_000  # conditions remembered; a sampled one does not recur after its episode


@dataclass(frozen=True, slots=True)
class Reference:
    """Growth of the cell without a construct, under a condition, 1/h."""

    growth: float
    healthy_growth: float  # in the unperturbed state that the condition refers to, see `Condition.reference`
    floor: float  # to be kept while capacity is counted
    lowered: bool  # whether the condition reduces growth
    unperturbed: float  # beyond which nothing is won back
    ratios: Best  # r* of cytosol and matrix, with the reward `ratio`


@dataclass(frozen=True, slots=True)
class Outcome:
    """Value of a construct under a condition, and its parts.

    `capacity` is the NAD(P)H sink capacity, mmol/gDW/h: the largest at the growth floor, or with the reward
    `guaranteed` the smallest at largest growth, which is negative where the construct may run in reverse.
    """

    value: float  # in healthy respirations; a share of healthy growth or of a distance with `rescue` and `ratio`
    growth: float  # the largest after the cost of expression, 1/h
    capacity: float  # 0 with the rewards `rescue` and `ratio`
    rescue: float  # growth regained, as a share of healthy growth; with `ratio` the share of the distance of r*

    def __str__(self) -> str:
        return f"value {self.value:.4f}, growth {self.growth:.5f} 1/h, capacity {self.capacity:.4f} mmol/gDW/h"


@dataclass(frozen=True, slots=True)
class Valued:
    """A construct with its outcome."""

    construct: Construct
    outcome: Outcome
    paid: float = 0.0  # cost of measurements

    @property
    def value(self) -> float:
        """Value less the cost of measurements."""
        return self.outcome.value - self.paid


class Evaluator:
    """Values of constructs on one design space; holds the linear programs, so one per process.

    Parameters
    ----------
    space
        The cell and what can be built into it.
    cache_entries
        Number of outcomes to remember; the oldest `CACHE_DROP` are dropped when the cache is full. 0 remembers none,
        for a search that never values a construct twice. References are remembered in any case.
    region_bytes
        Memory for the critical regions of each program, see `ParametricLP`; with 0 every optimum is solved for.
    compressed
        Solve on a smaller network with the same optima, see `compress`.
    exact_check
        Solve the plain programs as well and compare each outcome; a difference raises a RedoxError.

    Raises
    ------
    RedoxError
        The healthy cell does not grow, or takes up no oxygen, which the unit of the value is derived from.
    """

    def __init__(
        self,
        space: DesignSpace,
        *,
        cache_entries: int = CACHE_ENTRIES,
        region_bytes: int = REGION_BYTES,
        compressed: bool = True,
        exact_check: bool = False,
    ) -> None:
        self.space = space
        self._unit = space.capacity_unit
        self.formulation = Formulation(space, compressed=compressed)
        self.programs = ValuePrograms(space, self.formulation, region_bytes=region_bytes)
        self._ratio = RatioReward(space.ratios, self.formulation, self.programs) if space.ratios else None
        self.foreign = tuple(placement.foreign for placement in space.placements)
        self._outcomes: dict[tuple[tuple[int, ...], Condition, int | None], Outcome] = {}
        self._means: dict[tuple[tuple[int, ...], Condition], Outcome] = {}
        self._cells: dict[Condition, tuple[Reference, UnmodifiedCell]] = {}
        self.cache_entries = cache_entries
        healthy = space.healthy
        healthy = healthy.released if isinstance(healthy, HeldCondition) else healthy
        self.healthy_growth = self.programs.growth(self.formulation.under(healthy).point)
        if self.healthy_growth <= NO_GROWTH:
            from redox_balancer.cell.missing import does_not_grow  # noqa: PLC0415 - loads SciPy's solvers

            raise does_not_grow(space.network)
        for line in space.references:
            if self.reference(line).growth <= NO_GROWTH:
                raise RedoxError(
                    f"cell line {line.id} does not grow in model {space.network.id} on its measured uptakes",
                    hint="compare them with what biomass and maintenance need, or choose other cell lines",
                    settings=("cells", "medium"),
                )
        self._plain = Evaluator(space, cache_entries=0, region_bytes=0, compressed=False) if exact_check else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the linear programs; closing twice is harmless."""
        self.programs.close()
        if self._plain is not None:
            self._plain.close()

    def reset(self) -> None:
        """Forget bases, regions and caches, so that all that follows depends on the queries alone."""
        self.programs.reset()
        self._outcomes.clear()
        self._means.clear()
        self._cells.clear()
        if self._plain is not None:
            self._plain.reset()

    @property
    def solves(self) -> int:
        """Linear programs solved so far."""
        return sum(lp.solves for lp in self.programs.lps)

    @property
    def lookups(self) -> int:
        """Optima queried so far."""
        return sum(lp.lookups for lp in self.programs.lps)

    @property
    def hits(self) -> int:
        """Optima that needed no solve."""
        return sum(lp.hits for lp in self.programs.lps)

    @property
    def disagreements(self) -> int:
        """Hits that a solve contradicted; anything but 0 is a bug."""
        return sum(lp.disagreements for lp in self.programs.lps)

    def reference(self, condition: Condition) -> Reference:
        """The cell without a construct under a condition."""
        return self.cell(condition)[0]

    def evaluate(self, construct: Construct, condition: Condition, sample: int | None = None) -> Outcome:
        """Value of a construct under a condition: with one parameter sample, or the mean over all there are."""
        samples = len(self.space.parameter_samples)
        if sample is not None or not samples:
            return self.outcome(construct, condition, sample)
        key = (construct.levels, condition)
        known = self._means.get(key)
        if known is None:
            outcomes = [self.outcome(construct, condition, sample) for sample in range(samples)]
            known = Outcome(*(sum(values) / samples for values in zip(*map(astuple, outcomes), strict=True)))
            remember(self._means, key, known, self.cache_entries)
        return known

    def outcome(self, construct: Construct, condition: Condition, sample: int | None = None) -> Outcome:
        """Outcome of a construct under a condition with one parameter sample; None takes the library's parameters."""
        key = (construct.levels, condition, sample)
        known = self._outcomes.get(key)
        if known is not None:
            return known
        outcome = self._outcome(construct, condition, sample)
        if self._plain is not None:
            self._compare(construct, condition, outcome, self._plain.outcome(construct, condition, sample))
        remember(self._outcomes, key, outcome, self.cache_entries)
        return outcome

    def cell(self, condition: Condition) -> tuple[Reference, UnmodifiedCell]:
        """What a condition determines before anything is built: growth and bounds, computed once."""
        known = self._cells.get(condition)
        if known is not None:
            return known
        bounds = self.formulation.under(condition)
        growth = self._growth(bounds.point, bounds)
        healthy = self.healthy_growth
        if condition.reference != HEALTHY:
            line = pick({line.id: line for line in self.space.references}, condition.reference, "cell line")
            healthy = growth if line == condition else self.reference(line).growth
        reference = Reference(
            growth=growth,
            healthy_growth=healthy,
            floor=growth_floor(self.space.settings, growth, healthy),
            lowered=growth < healthy * (1 - 1e-6),
            unperturbed=max(growth, healthy),
            ratios=self._ratio.best(condition, bounds.capacities) if self._ratio else {},
        )
        remember(self._cells, condition, (reference, bounds), CONDITIONS)
        return reference, bounds

    def _growth(self, point: FloatArray, cell: UnmodifiedCell) -> float:
        """Largest biomass flux, 1/h; where ratios are held it is no bound on a state below the least that counts."""
        if cell.shares is None or self.space.ratios is None:
            return self.programs.growth(point)
        growth = self.programs.growth(point) if cell.shares.any() else 0.0
        return growth if growth >= self.space.ratios.growth else 0.0

    def _outcome(self, construct: Construct, condition: Condition, sample: int | None) -> Outcome:
        space, settings, programs = self.space, self.space.settings, self.programs
        reference, bounds = self.cell(condition)
        placed = tuple(construct)
        protein = space.protein(placed)
        kept = growth_kept(settings, protein)
        growth, point = reference.growth, bounds.point
        if placed:
            point = self.formulation.with_placed(bounds, placed, sample)
            growth = kept * self._growth(point, bounds)
        if settings.reward == "sink-flux":
            flux = programs.sink_flux(point)
            return Outcome(value=flux, growth=growth, capacity=flux, rescue=0.0)
        if settings.reward == "ratio" and self._ratio:
            capacities = self.formulation.with_capacities(bounds, placed, sample)
            found = self._ratio.best(condition, capacities) if placed else reference.ratios
            won = won_back(self._unperturbed(condition).ratios, reference.ratios, found)
            price = settings.protein_price * protein
            return Outcome(value=won - price, growth=growth, capacity=0.0, rescue=won)
        capacity = 0.0
        # Native enzymes alone take nothing from the pools.
        if reaches_floor(growth, reference.floor) and kept > 0 and any(self.foreign[place] for place, _ in placed):
            if settings.reward == "guaranteed":
                point[-1] = growth / kept * AT_OPTIMUM
                capacity = programs.guaranteed(point)
            elif settings.reward == "capacity":
                point[-1] = held_biomass_flux(reference.floor, kept)
                capacity = programs.capacity(point)
        value, rescue = self.worth(reference, growth, capacity, protein)
        return Outcome(value=value, growth=growth, capacity=capacity, rescue=rescue)

    def worth(self, reference: Any, growth: Any, capacity: Any, protein: Any) -> tuple[Any, Any]:
        """Value and rescue of numbers or arrays, of one cell or as many; never less for more growth or capacity."""
        settings, most = self.space.settings, reference.unperturbed
        if settings.reward == "rescue":
            won = growth * (growth < most) + most * (growth >= most) - reference.growth
            return won / reference.healthy_growth - settings.protein_price * protein, won / reference.healthy_growth
        rescue = (growth - reference.growth) / reference.healthy_growth * reference.lowered + 0.0  # never -0
        lives = reference.growth > NO_GROWTH
        shortfall = settings.growth_fraction - growth / (reference.growth * lives + (1.0 - lives))
        penalty = settings.growth_penalty * (shortfall * (shortfall > 0)) * lives
        return capacity / self._unit + rescue - penalty, rescue

    def won_estimates(self, condition: Condition, cells: FloatArray) -> tuple[FloatArray, float]:
        """With the reward `ratio`: see `RatioReward.won_estimates`."""
        if self._ratio is None:
            return np.zeros(len(cells) - 1), 0.0
        ratios = self._unperturbed(condition).ratios, self.reference(condition).ratios
        return self._ratio.won_estimates(condition, *ratios, cells)

    def _unperturbed(self, condition: Condition) -> Reference:
        usual = {HEALTHY: self.space.healthy} | {line.id: line for line in self.space.references}
        return self.reference(usual[condition.reference])

    def _compare(self, construct: Construct, condition: Condition, outcome: Outcome, plain: Outcome) -> None:
        for name in ("value", "growth", "capacity", "rescue"):
            ours, theirs = getattr(outcome, name), getattr(plain, name)
            if abs(ours - theirs) > AGREEMENT * max(1.0, abs(theirs)):
                raise RedoxError(
                    f"{name} of {NamedConstruct.of(self.space, construct)} under {condition.id} is {ours:.12g}, "
                    f"and {theirs:.12g} by the plain linear program",
                    hint="please report this with the model; without the exact check the training continues",
                    settings=("exact_check",),
                )


def remember(cache: dict[Key, Entry], key: Key, entry: Entry, entries: int = CACHE_ENTRIES) -> None:
    """Put an entry into a bounded cache; when it is full, the oldest `CACHE_DROP` entries are dropped first."""
    if entries:
        make_room(cache, entries - 1, entries)
        cache[key] = entry


def make_room(cache: dict[Any, Any], most: int, entries: int) -> None:
    """Drop the oldest `CACHE_DROP` of a number of `entries` where there are more than `most`."""
    if len(cache) > most:
        for oldest in list(itertools.islice(cache, min(CACHE_DROP, entries))):
            del cache[oldest]
