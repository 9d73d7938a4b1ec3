"""Growth at a given ratio: a cell with a closed solution, an upper bound on the core, and its window."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize

from redox_balancer.cell.consistency import stoichiometric_matrix
from redox_balancer.cell.driving_force import DrivingForceLP, parsimonious_fluxes, ratios_of
from redox_balancer.cell.energies import GAS_CONSTANT, Thermodynamics, thermodynamics_of
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.ratio_capacity import LEAST_GROWTH, GrowthAtRatio, needed_directions
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cell.ratio_window import WITHIN
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.task import Task

CYTOSOL, MATRIX = Ratio("nad_c", "nadh_c"), Ratio("nad_m", "nadh_m")
THERMAL = GAS_CONSTANT * 310.0
COMPETITION = {"AKGDm": (21e-6, 4.5e-6), "GAPD": (78e-6, 12e-6), "ICDHxm": (74e-6, 29e-6), "PDHm": (60.7e-6, 40e-6)}
"""Michaelis constants of NAD+ and inhibition constants of NADH, M."""


@pytest.fixture(scope="module")
def cells() -> dict[str, Thermodynamics]:
    """The core with native capacities, healthy and with complex I closed."""
    space = Task(conditions="healthy,complex_i_closed").space({})
    formulation = Formulation(space, compressed=False)
    known = thermodynamics_of(formulation.network)
    found = {}
    for condition in space.conditions:
        lower, upper = formulation.bounds(formulation.under(condition).point)
        found[condition.id] = replace(known, network=replace(formulation.network, lower=lower, upper=upper))
    return found


@pytest.fixture(scope="module")
def healthy(cells: dict[str, Thermodynamics]) -> Iterator[GrowthAtRatio]:
    fluxes = parsimonious_fluxes(cells["healthy"].network)
    with GrowthAtRatio(cells["healthy"], fluxes["BIOMASS_proxy"]) as found:
        yield found


def two_enzymes(energy: float) -> Thermodynamics:
    """Food is oxidised with NAD+ (capacity 3, of which growth uses up to 2), NADH by oxygen (no limit)."""
    equations = {
        "EX_a_c": ("--> a_c", 2.0),
        "OX": ("a_c + nad_c --> b_c + nadh_c", 3.0),
        "RESP": ("nadh_c --> nad_c", 1000.0),
        "GROWTH": ("b_c -->", 1000.0),
    }
    columns = [Column(name, parse_equation(text), 0.0, cap) for name, (text, cap) in equations.items()]
    network = Network.of("two enzymes", columns, "GROWTH")
    ranges = {"a_c": (1e-3, 1e-3), "b_c": (1e-4, 1e-2), "nad_c": (1e-6, 1e-2), "nadh_c": (1e-8, 1e-4)}
    lower, upper = THERMAL * np.log([ranges[name] for name in network.metabolites]).T
    energies = np.array([energy if name == "OX" else math.nan for name in network.reactions])
    S = stoichiometric_matrix(network)
    return Thermodynamics(network, S, energies, lower, upper, np.zeros((len(ranges), 0)), 310.0)


def test_growth_and_window_are_those_of_the_closed_solution() -> None:
    energy = 12.0
    known = two_enzymes(energy)

    def growth(ratio: float) -> float:
        force = -energy - THERMAL * math.log(1e-4 / 1e-3 / ratio)
        return min(2.0, 3.0 * max(0.0, 1.0 - math.exp(-force / THERMAL)))

    with GrowthAtRatio(known, 2.0) as cell:
        for ratio in (20.0, 50.0, 1e4):
            found = growth(ratio)
            assert cell.at({CYTOSOL: ratio}) == pytest.approx(found if found >= LEAST_GROWTH * 2.0 else 0.0, abs=1e-9)
        window = cell.optimum(CYTOSOL)
        assert cell.at({CYTOSOL: 1e7}) == 0.0  # no concentrations have that ratio
    assert window is not None
    end = scipy.optimize.brentq(lambda step: growth(10.0**step) - (1 - WITHIN) * 2.0, 0.0, 4.0)
    assert math.log10(window.low) == pytest.approx(end, abs=0.05)
    assert window.high == pytest.approx(1e6)
    assert window.best is None
    assert window.growth == pytest.approx(2.0)


def test_needed_directions_are_those_of_all_states_that_grow(cells: dict[str, Thermodynamics]) -> None:
    network = cells["healthy"].network
    growth = parsimonious_fluxes(network)[network.objective]
    reactions = ("GAPD", "PGCD", "LDH_L", "MDH", "NADH2_u10mi", "G5SDym")
    needed = needed_directions(network, LEAST_GROWTH * growth, map(network.column, reactions))
    S, at = stoichiometric_matrix(network), network.column(network.objective)
    lower, upper = network.lower.copy(), network.upper.copy()
    lower[at] = LEAST_GROWTH * growth
    for reaction in reactions:
        costs = np.zeros(len(network.reactions))
        costs[network.column(reaction)] = 1.0
        bounds = np.stack([lower, upper], axis=1)
        ends = [
            sign * scipy.optimize.linprog(sign * costs, A_eq=S, b_eq=np.zeros(S.shape[0]), bounds=bounds).fun
            for sign in (1, -1)
        ]
        expected = 1.0 if ends[0] > 1e-7 else -1.0 if ends[1] < -1e-7 else None
        assert needed.get(reaction) == expected


def test_growth_at_a_ratio_is_never_below_that_with_concentrations_that_have_it(
    cells: dict[str, Thermodynamics], healthy: GrowthAtRatio
) -> None:
    """Concentrations at which the healthy state can run, random within their ranges otherwise."""
    known, generator = cells["healthy"], np.random.default_rng(0)
    network = known.network
    fluxes = parsimonious_fluxes(network)
    rows = [network.metabolite_index[name] for ratio in ratios_of(network) for name in ratio]
    coupled = np.asarray(abs(known.reactants[rows]).sum(axis=0)).ravel() > 0
    S = stoichiometric_matrix(network)
    costs = np.zeros(len(network.reactions))
    costs[network.column(network.objective)] = -1.0
    tried = 0
    for ratio, value in ((CYTOSOL, 5.0), (CYTOSOL, 700.0), (CYTOSOL, 3000.0), (MATRIX, 0.3), (MATRIX, 2.5)):
        with DrivingForceLP(known, fluxes, ratios_of(network)) as lp:
            lp.fix(ratio, value)
            levels = lp.largest().concentrations
        logarithms = generator.uniform(known.lower, known.upper)
        for name, level in levels.items():
            logarithms[network.metabolite_index[name]] = known.thermal_energy * math.log(level)
        forces = -(known.energies + known.reactants.T @ logarithms)
        share = np.where(coupled & np.isfinite(forces), -np.expm1(-np.abs(forces) / known.thermal_energy), 1.0)
        forward = np.where(coupled & (forces < 0), 0.0, share)
        backward = np.where(coupled & (forces > 0), 0.0, share)
        for reaction, (constant, inhibition) in COMPETITION.items():
            names = [f"{name}_{'c' if reaction == 'GAPD' else 'm'}" for name in ("nad", "nadh")]
            nad, nadh = np.exp(logarithms[[network.metabolite_index[n] for n in names]] / known.thermal_energy)
            forward[network.column(reaction)] *= nad / (nad + constant * (1 + nadh / inhibition))
        bounds = np.stack([network.lower * np.where(network.lower < 0, backward, 1.0), network.upper * forward], 1)
        other = scipy.optimize.linprog(costs, A_eq=S, b_eq=np.zeros(S.shape[0]), bounds=bounds)
        if other.status == 0:
            tried += 1
            assert healthy.at({ratio: value}) >= -other.fun - 1e-7
    assert tried >= 3


def test_the_healthy_core_grows_best_near_the_measured_ratios(
    cells: dict[str, Thermodynamics], healthy: GrowthAtRatio
) -> None:
    """Rat liver: about 700 in the cytosol and 8 in the matrix (Williamson et al. 1967), not fitted to."""
    for ratio, measured, factor, width in ((CYTOSOL, 700.0, 10.0, 600.0), (MATRIX, 8.0, 3.0, 20.0)):
        window = healthy.optimum(ratio)
        assert window is not None
        assert window.growth == pytest.approx(0.08445, abs=1e-4)
        assert window.low < measured < window.high < width * window.low
        assert window.best is not None
        assert measured / factor < window.best < measured * factor
    closed = cells["complex_i_closed"]
    with GrowthAtRatio(closed, parsimonious_fluxes(closed.network)["BIOMASS_proxy"]) as blocked:
        # A matrix that is more oxidised than complex I allows grows as a cell without complex I.
        assert healthy.at({MATRIX: 60.0}) == pytest.approx(blocked.at({MATRIX: 60.0}), abs=1e-6)
        assert healthy.at({MATRIX: 60.0}) < 0.5 * healthy.at({MATRIX: 8.0})
