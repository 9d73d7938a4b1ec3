"""Free cycles: the steps by which a network undoes a probe, as few and as slow as a linear program finds them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from redox_balancer.cell.lp import ROUND_OFF, FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.probes import Probe, ProbedCell
from redox_balancer.cell.suspicion import DirectedStep
from redox_balancer.errors import RedoxError

WORTH = 1e4  # sum of fluxes, per unit of the probe, that a cycle may have
LEAST_SHARE = 1e-7  # flux of a step, per unit of the probe, below which it is round-off


@dataclass(frozen=True)
class FreeCycle:
    """A way in which a network undoes a probe: the flux of each step, none of which can be left out, per unit of it.

    Boundary reactions are not among them.
    """

    probe: Probe
    steps: dict[DirectedStep, float] = field(compare=False)

    def __str__(self) -> str:
        ordered = sorted(self.steps.items(), key=lambda pair: (-pair[1], pair[0]))
        return " + ".join(f"{'' if abs(flux - 1) < 1e-6 else f'{flux:.3g} '}{step}" for step, flux in ordered)


class CycleFinder:
    """Linear programs over a closed cell in which every reaction is split into its directions."""

    def __init__(self, cell: ProbedCell) -> None:
        self._cell, network = cell, cell.network
        self._varying = dict.fromkeys(name for probe in cell.probes for name in cell.bounds(probe))
        columns: list[Column] = []
        self.columns: dict[DirectedStep, int] = {}
        for reaction, low, high in zip(
            network.reactions, network.lower.tolist(), network.upper.tolist(), strict=True
        ):
            stoichiometry = network.stoichiometry_of(reaction)
            for step, bound in ((DirectedStep(reaction), high), (DirectedStep(reaction, backwards=True), -low)):
                if bound <= 0 and reaction not in self._varying:
                    continue
                self.columns[step] = len(columns)
                sign = -1.0 if step.backwards else 1.0
                scaled = {metabolite: sign * value for metabolite, value in stoichiometry.items()}
                # Whether a cycle runs is a matter of directions: caps would only make it slow, and its proof, too.
                columns.append(Column(str(step), scaled, 0.0, OPEN if bound > 0 else 0.0))
        self._network = Network.of(network.id, columns, metabolites=network.metabolites)
        self._open = {step: columns[column].upper for step, column in self.columns.items()}
        outside = {*network.boundary, *(probe.column for probe in cell.probes)}
        self._inside = {step: column for step, column in self.columns.items() if step.reaction not in outside}
        self._closed: frozenset[DirectedStep] = frozenset()
        self._lp = FluxLP(self._network, {})
        self._asked: tuple[Probe, float] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lp.close()

    def find(self, probe: Probe, closed: Iterable[DirectedStep], worth: float = WORTH) -> FreeCycle | None:
        """Find a cycle with the smallest sum of fluxes that undoes a probe without the closed steps."""
        closed = frozenset(closed)
        for step in closed ^ self._closed:
            self._set(step, 0.0 if step in closed else self._open[step])
        self._closed = closed
        column = self.columns[DirectedStep(probe.column)]
        if (probe, worth) != self._asked:
            self._turn_to(probe)
            self._lp.set_objective_columns({**dict.fromkeys(self._inside.values(), -1.0), column: worth})
            self._asked = probe, worth
        solution = self._lp.maximise()
        if not solution.optimal:
            raise RedoxError(f"the probe of free {probe} ended {solution.status.value} on {self._network.id}")
        fluxes = self._lp.fluxes()
        if (amount := float(fluxes[column])) <= ROUND_OFF:
            return None
        steps = {step: float(fluxes[place]) / amount for step, place in self._inside.items()}
        return FreeCycle(probe, {step: flux for step, flux in steps.items() if flux > LEAST_SHARE})

    def _turn_to(self, probe: Probe) -> None:
        for reaction, (low, high) in self._cell.bounds(probe).items():
            for step, bound in ((DirectedStep(reaction), high), (DirectedStep(reaction, backwards=True), -low)):
                self._open[step] = max(bound, 0.0)
                self._set(step, 0.0 if step in self._closed else self._open[step])

    def _set(self, step: DirectedStep, upper: float) -> None:
        if step in self.columns:
            self._lp.set_bounds(self.columns[step], 0.0, upper)


def steps_of(fluxes: np.ndarray, network: Network, least: float) -> frozenset[DirectedStep]:
    """The steps that run in a flux vector of shape (reactions,), faster than `least`, mmol/gDW/h."""
    return frozenset(
        DirectedStep(network.reactions[c], bool(fluxes[c] < 0)) for c in np.flatnonzero(np.abs(fluxes) > least)
    )
