"""Design spaces whose capacities depend on the ratio of NAD+ to NADH; see docs/ratio.md."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.driving_force import ratios_of
from redox_balancer.cell.energies import Thermodynamics, thermodynamics_of
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import Concentration
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.ratio_capacity import LEAST_GROWTH, coupled_columns, span_of
from redox_balancer.cell.ratio_cuts import ratio_table
from redox_balancer.cell.ratio_table import Ratio, RatioTable
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.held_ratios import HeldRatios, held_ratios, usual_ratios
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

ANY_AMOUNT = 1e3  # capacity of an inserted enzyme, mmol/gDW/h, that no construct exceeds

Concentrations = Mapping[str, tuple[float, float]]


def concentrations_under(
    condition: Condition, medium: Mapping[str, Concentration], given: Concentrations
) -> dict[str, tuple[float, float]]:
    """Ranges of concentrations, M: a condition's go before those of the medium, and what is given before both."""
    levels = {**medium, **condition.concentrations}
    return {name: (level.low, level.high) for name, level in levels.items()} | dict(given)


@dataclass(frozen=True, eq=False)
class TableMaker:
    """Computes the table of a condition."""

    formulation: Formulation
    known: Thermodynamics  # energies and ranges of the package
    columns: list[int]  # those whose capacity depends on a ratio
    growth: float  # from which a state counts, 1/h
    medium: Mapping[str, Concentration]  # ranges of concentrations, see `concentrations_under`
    given: Concentrations

    def __call__(self, condition: Condition, ratios: tuple[Ratio, ...]) -> RatioTable:
        """Compute the table with each limit at the wider end of its range and any amount of every enzyme."""
        high = tuple(change.model_copy(update={"value": change.high}) for change in condition.changes)
        cell = self.formulation.under(condition.model_copy(update={"changes": high}))
        amounts = [[ANY_AMOUNT]] * len(self.formulation.columns)
        widest = _in_cell(self.known, *self.formulation.widest_bounds(cell, amounts))
        ranges = concentrations_under(condition, self.medium, self.given)
        return ratio_table(widest.with_concentrations(ranges), ratios, self.growth, self.columns)


def with_ratios(
    space: DesignSpace, held: Iterable[str], medium: Mapping[str, Concentration], concentrations: Concentrations
) -> DesignSpace:
    """A design space whose conditions hold ratios, or in which the reward `ratio` looks for them.

    `held` are ratios as `held_ratios` reads them, `medium` and `concentrations` ranges as of `concentrations_under`.
    A RedoxError if the model has no NAD+ with NADH, or no energies, or a compartment, ratio or concentration is
    impossible.
    """
    formulation = Formulation(space, compressed=False)
    network = formulation.network
    known = thermodynamics_of(network)
    spans = {r: span_of(known, r) for r in ratios_of(network) if network.is_species(r.denominator, "nadh")}
    amounts = [[ANY_AMOUNT]] * len(formulation.columns)
    healthy = formulation.under(space.healthy)
    columns = coupled_columns(_in_cell(known, *formulation.widest_bounds(healthy, amounts)))
    if not spans or not columns:
        missing = "energy of a reaction with NAD(H)" if spans else "NAD+ with NADH in one compartment"
        raise RedoxError(
            f"model {network.id} has no {missing}, so its ratio limits nothing",
            hint="metabolites are known by their BiGG names, and energies are those of central metabolism",
            settings=("model", "held_ratios", "reward"),
        )
    known.with_concentrations(concentrations)  # refuses those that are impossible
    chosen, sought = held_ratios(held, network, spans), tuple[Ratio, ...]()
    if space.settings.reward == "ratio":
        sought = tuple(ratio for ratio in spans if network.compartment_of(ratio.numerator) in usual_ratios())
        if chosen or not sought:
            raise RedoxError(
                "the reward 'ratio' is about NAD+/NADH of cytosol and matrix, which "
                + ("cannot be held at the same time" if chosen else f"model {network.id} does not have"),
                hint="choose another reward, or hold no ratio",
                settings=("reward", "held_ratios"),
            )
    with FluxLP(network) as lp:
        growth = LEAST_GROWTH * lp.maximise().objective
    make = TableMaker(formulation, known, columns, growth, medium, concentrations)
    digest = hashlib.sha256(repr((sorted(concentrations.items()), sorted(map(repr, medium.items())))).encode())
    for array in (known.energies, known.lower, known.upper):
        digest.update(np.ascontiguousarray(array).tobytes())
    names = tuple(network.reactions[column] for column in columns)
    ratios = HeldRatios(chosen, sought, names, growth, make, concentrations, digest.hexdigest())
    ratios.make_tables((space.healthy, *space.references, *space.conditions, *space.mixtures))
    hold = ratios.holding
    conditions, mixtures = tuple(map(hold, space.conditions)), tuple(map(hold, space.mixtures))
    return replace(space, conditions=conditions, mixtures=mixtures, ratios=ratios)


def _in_cell(known: Thermodynamics, lower: FloatArray, upper: FloatArray) -> Thermodynamics:
    return replace(known, network=replace(known.network, lower=lower, upper=upper))
