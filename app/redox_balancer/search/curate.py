"""Curation of any model: the cheapest set of steps to close so that nothing is free and nothing needed is lost.

Reactions that do not balance are closed first, or capped where growth or a function needs them. Then, until no probe
of `cell/probes.py` runs: a linear program names the cycles that undo the probes, a mixed-integer program the cheapest
set of their steps that breaks all and leaves what is needed. A set that breaks too much becomes a row of the program,
a cycle that it leaves another, so that the last set is a proven optimum: an implicit hitting set (Chandrasekaran et
al. 2011, SODA, 614). Prices are those of `cell/suspicion.py`.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.function_list import Function
from redox_balancer.cell.network import Network
from redox_balancer.cell.probes import Probe, ProbedCell, free_fluxes
from redox_balancer.cell.suspicion import DirectedStep, Suspicion, suspicion
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress
from redox_balancer.search.closures import cheapest_closures
from redox_balancer.search.free_cycles import WORTH, CycleFinder, FreeCycle
from redox_balancer.search.requirements import GROWTH, ClosableLP, Need, Requirements, with_directions

CAP = 1.2  # cap of a reaction that does not balance, in terms of the flux that is needed
LIMITED = 0.01  # share of the widest bound of a model up to which a reaction that does not balance is capped already
_LONGER = 1e3  # how much longer a cycle may be than `WORTH`, where a probe runs that the search found no cycle of


@dataclass(frozen=True)
class Closing:
    """A step that is closed, why it rather than another, and the shortest cycle that it alone breaks, or breaks."""

    step: DirectedStep
    suspicion: Suspicion
    cycle: FreeCycle


@dataclass(frozen=True)
class CurationProposal:
    """A curated network and how it came about; fluxes in mmol/gDW/h, growth on the medium in 1/h."""

    network: Network
    unbalanced: Mapping[str, float | None]  # largest flux left of those that do not balance; None: closed
    closings: tuple[Closing, ...]  # the steps that are closed, in the order of their cycles
    cycles: tuple[FreeCycle, ...]  # all that were found, shortest first
    before: Mapping[Probe, float]  # largest flux of each probe in the model
    after: Mapping[Probe, float]  # and in the curated network
    growth: float
    growth_after: float
    functions: tuple[str, ...]  # names of those that the curated network performs
    lost: tuple[str, ...]  # of those that it does not perform any more, for they rest on what was free
    not_performed: tuple[str, ...]  # and of those that the model does not perform as published
    price: int  # sum of the prices of the closings, which no other set undercuts
    rounds: int  # programs that took


def propose(
    network: Network,
    fed: Network,
    functions: Iterable[Function] = (),
    *,
    names: Mapping[str, str] | None = None,
    with_gene: Container[str] = (),
    progress: Progress = no_progress,
) -> CurationProposal:
    """Find the cheapest curation of a model.

    Parameters
    ----------
    network, fed
        The model as published, and with the bounds of the medium on which growth is kept.
    functions, names
        Functions to keep as far as the model performs them, and further names of metabolites, see `FunctionalCell`.
    with_gene
        Reactions that have a gene.

    Raises
    ------
    RedoxError
        The model does not grow, or no set of closed steps leaves growth and the functions.
    """
    progress("free fluxes as published")
    before = free_fluxes(network)
    functions = tuple(functions)
    with Requirements(fed, functions, names or {}) as published:
        failing = {need.name for need in published.unmet(frozenset(), progress)}
        kept = [need for need in published.needs if need.name not in failing]
        growth, caps = published.growth, _caps(network, kept, progress)
    bounds = {r: _capped(network, r, cap) for r, cap in caps.items()}
    performed = [function for function in functions if function.name in {need.name for need in kept}]
    balanced = network.with_bounds(bounds)
    with Requirements(fed.with_bounds(bounds), performed, names or {}, growth) as needs:
        search = _Search(balanced, needs, with_gene, caps, progress)
        closed = search.cheapest([probe for probe, value in before.items() if value > 0])
        growth_after = needs.needs[0].lp.largest(network.objective, closed, {})
        still = {need.name for need in needs.needs}
    curated = without(balanced, closed)
    progress("free fluxes as curated")
    after = free_fluxes(curated)
    for probe, value in after.items():
        if value:
            raise RedoxError(f"free {probe} still runs in {network.id}, through more steps than the search allows")
    return CurationProposal(
        network=curated,
        unbalanced=caps,
        closings=search.closings(closed),
        cycles=tuple(sorted(search.cycles, key=_length)),
        before=before,
        after=after,
        growth=growth,
        growth_after=growth_after,
        functions=tuple(function.name for function in performed if function.name in still),
        lost=tuple(function.name for function in performed if function.name not in still),
        not_performed=tuple(sorted(failing)),
        price=sum(search.suspicion_of(step).price for step in closed),
        rounds=search.rounds,
    )


def without(network: Network, closed: Iterable[DirectedStep]) -> Network:
    """The network without some steps."""
    bounds: dict[str, tuple[float, float]] = {}
    for reaction, backwards in closed:
        low, high = bounds.get(reaction, network.bounds_of(reaction))
        bounds[reaction] = (max(low, 0.0), max(high, 0.0)) if backwards else (min(low, 0.0), min(high, 0.0))
    return network.with_bounds(bounds)


class _Search:
    def __init__(
        self,
        network: Network,
        needs: Requirements,
        with_gene: Container[str],
        unbalanced: Container[str],
        progress: Progress,
    ) -> None:
        self._network, self._needs, self._with_gene, self._progress = network, needs, with_gene, progress
        self._unbalanced = unbalanced
        self._judged: dict[DirectedStep, Suspicion] = {}
        self.cycles: list[FreeCycle] = []
        self.conflicts: dict[str, set[frozenset[DirectedStep]]] = {}
        self.rounds = 0

    def suspicion_of(self, step: DirectedStep) -> Suspicion:
        if step not in self._judged:
            found = suspicion(self._network, step, self._with_gene)
            if step.reaction in self._unbalanced:
                low, high = self._network.bounds_of(step.reaction)
                # A curation has one entry for a reaction, and this one has a cap in both directions.
                found = Suspicion(int(not low < 0 < high), "does not balance")
            self._judged[step] = found
        return self._judged[step]

    def cheapest(self, probes: list[Probe]) -> frozenset[DirectedStep]:
        """The cheapest set of steps without which no probe runs and every need is met."""
        while unmet := self._needs.unmet(frozenset(), self._progress):
            if not self._needs.give_up(unmet[0].name):
                raise self._impossible()
        with CycleFinder(ProbedCell(self._network)) as finder:
            while True:
                self.rounds += 1
                closed = self._next()
                self._progress(f"round {self.rounds}, {len(closed)} closed", len(self.cycles))
                unmet, rest = self._needs.unmet(closed, self._progress), closed
                for need in unmet:
                    # Steps that another need keeps open are not asked about again: the next set differs in them.
                    if not need.met(rest):
                        found = need.conflict(rest)
                        self.conflicts.setdefault(need.name, set()).add(found)
                        rest -= found
                if self._uncovered(finder, probes, closed, WORTH) or unmet:
                    continue
                if not self._uncovered(finder, probes, closed, WORTH * _LONGER):
                    return closed

    def _next(self) -> frozenset[DirectedStep]:
        """The cheapest set that breaks the known cycles without a known conflict, if need be with less required."""
        while (closed := self._closures(self.conflicts)) is None:
            if not self.conflicts:
                raise self._impossible()
            # Growth and functions that rest on what is free can only be kept in part: the first that is to blame.
            alone = [
                name
                for name in sorted(self.conflicts, key=lambda name: name != GROWTH)
                if self._closures({other: self.conflicts[other] for other in self.conflicts if other != name})
                is not None
            ]
            blamed = next(iter(alone), max(self.conflicts, key=lambda name: len(self.conflicts[name])))
            if not self._needs.give_up(blamed):
                raise self._impossible()
            del self.conflicts[blamed]
        return closed

    def _closures(self, conflicts: Mapping[str, set[frozenset[DirectedStep]]]) -> frozenset[DirectedStep] | None:
        prices = {step: found.price for step, found in self._judged.items() if found.price}
        cycles = (frozenset(cycle.steps) for cycle in self.cycles)
        return cheapest_closures(cycles, set().union(*conflicts.values()), prices)

    def _essential(self) -> set[DirectedStep]:
        """The steps of which one alone is a conflict."""
        found = set().union(*self.conflicts.values())
        return {step for conflict in found if len(conflict) == 1 for step in conflict}

    def _uncovered(
        self, finder: CycleFinder, probes: list[Probe], closed: frozenset[DirectedStep], worth: float
    ) -> list[FreeCycle]:
        """New cycles without the closed steps. Of each found the cheapest step is closed, too, to find the next."""
        found: list[FreeCycle] = []
        essential, more = self._essential(), closed
        for probe in probes:
            while cycle := finder.find(probe, more, worth):
                found.append(cycle)
                choice = [
                    (self.suspicion_of(step).price, str(step), step)
                    for step in cycle.steps
                    if self.suspicion_of(step).price and step not in essential
                ]
                if not choice:
                    break
                more |= {min(choice)[2]}
                self._progress(f"round {self.rounds}, {len(closed)} closed", len(self.cycles) + len(found))
        self.cycles += found
        return found

    def _impossible(self) -> RedoxError:
        essential = self._essential()
        stuck = [
            cycle
            for cycle in self.cycles
            if not any(self.suspicion_of(step).price and step not in essential for step in cycle.steps)
        ]
        what = f"the cycle {stuck[0]} of free {stuck[0].probe} has" if stuck else "some cycles have"
        return RedoxError(
            f"{what} no step that growth does not need",
            hint="correct the stoichiometry of a step, or choose another medium",
            settings=("medium",),
        )

    def closings(self, closed: frozenset[DirectedStep]) -> tuple[Closing, ...]:
        """The closed steps, each with a cycle that it breaks."""
        found = []
        for step in closed:
            cycles = [cycle for cycle in self.cycles if step in cycle.steps]
            own = [cycle for cycle in cycles if len(closed & cycle.steps.keys()) == 1]
            found.append(Closing(step, self.suspicion_of(step), min(own or cycles, key=_length)))
        return tuple(sorted(found, key=lambda closing: (_length(closing.cycle), closing.step)))


def _length(cycle: FreeCycle) -> tuple[int, str]:
    return len(cycle.steps), str(cycle.probe)


def _capped(network: Network, reaction: str, cap: float | None) -> tuple[float, float]:
    low, high = network.bounds_of(reaction)
    limit = cap or 0.0
    return min(max(low, -limit), limit), max(min(high, limit), -limit)


def _caps(network: Network, needs: Iterable[Need], progress: Progress) -> dict[str, float | None]:
    """Cap of each reaction that does not balance, None for those that nothing needs; without those with a cap."""
    bounds = np.abs(np.concatenate([network.lower, network.upper]))
    widest = float(np.max(bounds[np.isfinite(bounds)], initial=0.0))
    unbalanced = [r for r in imbalanced_reactions(network) if max(map(abs, network.bounds_of(r))) > LIMITED * widest]
    shut = frozenset(DirectedStep(reaction, backwards) for reaction in unbalanced for backwards in (False, True))
    caps: dict[str, float | None] = dict.fromkeys(unbalanced)
    splits: dict[int, ClosableLP] = {}
    for need in needs:
        if not unbalanced or need.met(shut):
            continue
        progress(f"reactions that do not balance: {need.name}")
        lp = splits.setdefault(id(need.lp), ClosableLP(with_directions(need.lp.network, unbalanced)))
        parts = {
            r: [name for name in (r, str(DirectedStep(r, backwards=True))) if name in lp.network.reaction_index]
            for r in unbalanced
        }
        weights = {name: -1.0 for names in parts.values() for name in names}
        high = lp.network.bounds_of(need.goal)[1] if need.goal not in need.bounds else need.bounds[need.goal][1]
        if lp.solve(weights, frozenset(), {**need.bounds, need.goal: (need.amount, high)}) is None:
            raise RedoxError(f"{need.name} cannot be computed on model {network.id} in the least unbalanced way")
        for reaction, part in parts.items():
            flux = sum(lp.fluxes(part).values())
            if flux > 1e-9:
                caps[reaction] = max(caps[reaction] or 0.0, CAP * flux)
    for lp in splits.values():
        lp.close()
    return caps
