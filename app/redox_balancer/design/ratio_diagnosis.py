"""Ratios of NAD+ to NADH and of NADP+ to NADPH that a cell can have, and what keeps them there; see docs/ratio.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from redox_balancer.cell.driving_force import (
    LEAST_FLUX,
    DrivingForce,
    DrivingForceLP,
    Ratio,
    RatioWindow,
    parsimonious_fluxes,
    ratios_of,
)
from redox_balancer.cell.energies import thermodynamics_of
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.ratio_capacity import GrowthAtRatio, RatioOptimum
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

QUANTILES = 0.05, 0.95
"""Ends of the intervals over the draws."""


@dataclass(frozen=True)
class RatioDiagnosis:
    """Driving force and ratios of a cell under a condition.

    Attributes
    ----------
    condition, growth
        Id of the condition, and the largest growth, 1/h.
    force
        The largest driving force of the parsimonious state; None where the cell does not grow.
    windows
        Window of each ratio in which that state has the margin; none where it has not.
    optima
        Ratios of NAD+ to NADH of largest growth, by capacities that depend on the ratio.
    forces, drawn
        The driving force, shape (draws,), kJ/mol, and the ends of each window, shape (draws, 2), with drawn energies;
        NaN where the state is infeasible.
    active, without_energy
        Reactions inside the cell that run, and those of them whose energy is not known.
    """

    condition: str
    growth: float
    force: DrivingForce | None = None
    windows: tuple[RatioWindow, ...] = ()
    optima: tuple[RatioOptimum, ...] = ()
    forces: FloatArray | None = None
    drawn: Mapping[Ratio, FloatArray] | None = None
    active: frozenset[str] = frozenset()
    without_energy: tuple[str, ...] = ()

    def interval(self, values: FloatArray) -> list[float] | None:
        """The `QUANTILES` of what is known of some draws; None where nothing is."""
        known = values[np.isfinite(values)]
        return np.quantile(known, QUANTILES).tolist() if len(known) else None

    @property
    def feasible(self) -> float | None:
        """Share of the draws in which the state is feasible; None without draws."""
        return float(np.mean(self.forces >= 0.0)) if self.forces is not None and len(self.forces) else None

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        force, drawn, forces = self.force, self.drawn or {}, self.forces if self.forces is not None else np.zeros(0)
        return {
            "growth": self.growth,
            "driving_force": force and force.value,
            "driving_force_interval": self.interval(forces),
            "limiting": force.limiting if force else {},
            "concentrations": force.concentrations if force else {},
            "feasible_draws": self.feasible,
            "windows": {
                str(window.ratio): {
                    "low": window.low,
                    "high": window.high,
                    "width": window.width,
                    "low_interval": self.interval(drawn[window.ratio][:, 0]),
                    "high_interval": self.interval(drawn[window.ratio][:, 1]),
                    "low_limits": window.low_limits,
                    "high_limits": window.high_limits,
                }
                for window in self.windows
            },
            "largest_growth": {
                str(found.ratio): {
                    "ratio": found.best,
                    "low": found.low,
                    "high": found.high,
                    "width": found.width,
                    "growth": found.growth,
                }
                for found in self.optima
            },
            "active": len(self.active),
            "without_energy": list(self.without_energy),
        }


def diagnose_ratios(
    space: DesignSpace,
    *,
    margin: float = 0.0,
    draws: int = 0,
    concentrations: Mapping[str, tuple[float, float]] | None = None,
    progress: Progress = no_progress,
) -> Iterator[RatioDiagnosis]:
    """Diagnose the ratios of a cell under each condition of a design space, without a construct.

    Parameters
    ----------
    space
        The cell and its conditions.
    margin
        Least driving force of every active reaction, kJ/mol.
    draws
        How often energies are drawn from their uncertainty, with the same seed for each condition.
    concentrations
        Ranges of concentrations to use instead of the package's, M, by metabolite.
    progress
        Receives each condition as it starts, with the number that is done.

    Raises
    ------
    RedoxError
        The model has no NAD(P) pool, a range is impossible, or a state has no driving force as large as the margin.
    """
    formulation = Formulation(space, compressed=False)
    ratios = ratios_of(formulation.network)
    if not ratios:
        raise RedoxError(
            f"model {space.network.id} has no NAD+ with NADH, and no NADP+ with NADPH",
            hint="a model in identifiers other than BiGG's needs the BiGG names nad, nadh, nadp and nadph",
            settings=("model",),
        )
    of_nad = [ratio for ratio in ratios if formulation.network.is_species(ratio.denominator, "nadh")]
    known = thermodynamics_of(formulation.network).with_concentrations(concentrations or {})
    inside = set(formulation.network.reactions) - {*formulation.network.boundary, formulation.network.objective}
    for number, condition in enumerate(space.conditions):
        progress(condition.id, number, len(space.conditions))
        lower, upper = formulation.bounds(formulation.under(condition).point)
        cell = replace(known, network=replace(formulation.network, lower=lower, upper=upper))
        fluxes = parsimonious_fluxes(cell.network)
        if not fluxes:
            yield RatioDiagnosis(condition.id, 0.0)
            continue
        growth = fluxes[cell.network.objective]
        active = frozenset(reaction for reaction in inside if abs(fluxes[reaction]) > LEAST_FLUX)
        with DrivingForceLP(cell, fluxes, ratios) as lp:
            force = lp.largest()
            feasible = margin > 0.0 or force.value >= margin
            windows = tuple(lp.window(ratio, margin) for ratio in ratios) if feasible else ()
            forces, drawn = lp.spread(draws, 0, margin)
        with GrowthAtRatio(cell, growth) as capacity:
            optima = tuple(found for ratio in of_nad if (found := capacity.optimum(ratio)))
        unknown = tuple(reaction for reaction in cell.without_energy() if reaction in active)
        yield RatioDiagnosis(condition.id, growth, force, windows, optima, forces, drawn, active, unknown)
