"""Energies of reactions and ranges of concentrations, from the data files in `data/thermodynamics`.

    dG'(r) = sum over metabolites i of  nu(i, r) (G(i) + RT ln c(i) + z(i) F phi(i))

G are transformed energies of formation at pH 7 (Alberty 2003), c concentrations, z charges and phi the electric
potential of the compartment. A proton has G = 0 and ln c = -ln(10) (pH - 7), water G of its own and ln c = 0, so a
reaction that balances hydrogen and charge has the right energy at any pH, and one that crosses a membrane has its
share of the proton-motive force (as Haraldsdottir et al. 2012, Biophys. J. 102:1703, put it). The derivation and its
limits: docs/ratio.md.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from redox_balancer.cell.balance import TOLERANCE
from redox_balancer.cell.energy_data import EnergyData, energy_data
from redox_balancer.cell.media import ENZYME
from redox_balancer.cell.network import LEDGER, FloatArray, Network
from redox_balancer.errors import RedoxError

GAS_CONSTANT = 8.31446261815324e-3  # kJ/mol/K
FARADAY = 96.48533212  # kJ/mol/V
PROTON, SODIUM, WATER = "h", "na1", "h2o"
DIFFUSING = frozenset({"o2", "co2", WATER})
"""What crosses membranes without a carrier, so that no enzyme has to be driven."""
DEFAULT_RANGE = 1e-6, 1e-2
"""Range of a concentration that no file gives, M (assumed; Noor et al. 2014, PLoS Comput. Biol. 10:e1003483)."""

POSSIBLE = 1e-12, 10.0  # concentrations that a solution in a cell or a medium can have, M (assumed)


@dataclass(frozen=True, eq=False)
class Thermodynamics:
    """What is known of the energies of a network's reactions.

    Arrays are in the order of the network. `reactants` differs from its matrix where `mechanisms.tsv` says so.
    `energies` are those of reactions as written, all reactants but protons and water at 1 M and each in its
    compartment. `deviations` are what an independent standard normal variable adds to the energies of metabolites:
    the square root of a covariance that a substance has in all compartments, and one variable for each uncertain
    potential and for each figure of another origin.
    """

    network: Network
    reactants: Any  # coefficients that count for the energies, sparse, shape (metabolites, reactions)
    energies: FloatArray  # shape (reactions,), kJ/mol; NaN where it is not known
    lower: FloatArray  # of RT ln c of each metabolite, c in M, shape (metabolites,), kJ/mol
    upper: FloatArray
    deviations: FloatArray  # shape (metabolites, variables), kJ/mol
    temperature_k: float  # K
    reasons: Mapping[str, str] = field(default_factory=dict)  # why energies are not known

    @property
    def thermal_energy(self) -> float:
        """RT, kJ/mol."""
        return GAS_CONSTANT * self.temperature_k

    def amounts(self, column: int) -> dict[int, float]:
        """Coefficients that count for the energy of a reaction, by row."""
        span = slice(*self.reactants.indptr[column : column + 2])
        return dict(zip(self.reactants.indices[span].tolist(), self.reactants.data[span].tolist(), strict=True))

    def drawn(self, generator: np.random.Generator) -> FloatArray:
        """Energies of the reactions with those of the metabolites and the potentials drawn from their uncertainty."""
        drawn = self.deviations @ generator.standard_normal(self.deviations.shape[1])
        return np.asarray(self.energies + self.reactants.T @ drawn)

    def with_concentrations(self, ranges: Mapping[str, tuple[float, float]]) -> "Thermodynamics":
        """Return a copy with other ranges of concentrations, M, by metabolite (own id or BiGG name).

        A RedoxError if there is no such metabolite, or a range is empty or not one of `POSSIBLE`.
        """
        lower, upper = self.lower.copy(), self.upper.copy()
        for name, (low, high) in ranges.items():
            own = self.network.find_metabolite(name)
            if own is None:
                raise RedoxError(
                    f"model {self.network.id} has no metabolite {name!r}", hint="use its id or BiGG name: lac__L_e"
                )
            row = self.network.metabolite_index[own]
            lower[row], upper[row] = (self.thermal_energy * bound for bound in _log_range(name, low, high))
        return replace(self, lower=lower, upper=upper)


def thermodynamics_of(network: Network, *, respires: bool = True) -> Thermodynamics:
    """Return the energies and ranges of a network's reactions and metabolites, found by BiGG name.

    Reactions that cross a membrane need the charges of their metabolites, and a balance of charge. The inner membrane
    has the potential of a cell that respires, or else that of one that does not.
    """
    data = energy_data()
    found = _metabolites(network, data, "potential_V" if respires else "potential_without_respiration_V")
    reactions = [_reactants(network, reaction, data.mechanisms) for reaction in network.reactions]
    values = [amount for amounts in reactions for amount in amounts.values()]
    rows = [row for amounts in reactions for row in amounts]
    ends = np.cumsum([0, *map(len, reactions)])
    reactants = sp.csc_array((values, rows, ends), shape=(len(network.metabolites), len(reactions)))
    gained = _largest_gain(reactants, [data.compositions.get(name, {}) for name in found.known])
    energies, reasons, outside = np.full(len(reactions), math.nan), {}, {*network.boundary, network.objective}
    for column, (reaction, amounts) in enumerate(zip(network.reactions, reactions, strict=True)):
        if reaction in outside:
            continue
        own, coefficients = list(amounts), np.array(list(amounts.values()))
        crosses = len({found.places[row] for row in own}) > 1
        name = network.bigg_names.get(reaction, reaction)
        reason = _reason_against(found, own, gained[column], listed=name in data.mechanisms)
        if crosses and not reason and name not in data.as_written:
            reason = _reason_against_carrier(found, own, coefficients)
        if reason:
            reasons[reaction] = reason
        else:  # within a compartment charges balance, and need not be known
            energies[column] = coefficients @ (found.formation[own] + (found.electric[own] if crosses else 0.0))
    known = energies, found.lower, found.upper, found.deviations
    return Thermodynamics(network, reactants, *known, data.temperature_k, reasons)


class _Metabolites(NamedTuple):
    """What is known of a network's metabolites, in its order; see `Thermodynamics`.

    `known` are their names in the data, empty for those without energy, `formation` and `electric` their energies and
    that of their charges, NaN where it is not known, kJ/mol.
    """

    known: list[str]
    places: list[str]
    formation: FloatArray
    electric: FloatArray
    charges: FloatArray
    lower: FloatArray
    upper: FloatArray
    deviations: FloatArray


def _metabolites(network: Network, data: EnergyData, potential: str) -> _Metabolites:
    thermal, count = GAS_CONSTANT * data.temperature_k, len(network.metabolites)
    formation, electric, charges = np.full((3, count), math.nan)
    lower, upper = np.zeros((2, count))
    species = [sorted(network.species_of(metabolite)) for metabolite in network.metabolites]
    known = [next(filter(data.energies.get, names), "") for names in species]
    places: list[str] = []
    roots, others = data.roots_for(known), dict[str, FloatArray]()
    covariance = np.zeros((count, len(next(iter(roots.values())))))
    for row, (metabolite, names) in enumerate(zip(network.metabolites, species, strict=True)):
        letter, name = network.compartment_of(metabolite), known[row]
        places += [next(filter(None, (data.elsewhere.get(f"{each}_{letter}") for each in names)), letter)]
        charges[row] = network.charges.get(metabolite, math.nan)
        place = data.compartments.get(places[row])
        if not name or place is None:
            continue
        formation[row], deviation = data.energies[name]
        covariance[row] = roots.get(name, 0.0)
        electric[row] = FARADAY * place.get(potential, place["potential_V"]) * charges[row]
        others.setdefault(name, np.zeros(count))[row] = deviation
        uncertain = FARADAY * place.get("potential_uncertainty_V", 0.0) * np.nan_to_num(charges[row])
        others.setdefault(f"potential {places[row]}", np.zeros(count))[row] = uncertain
        if name == PROTON:
            lower[row] = upper[row] = -thermal * math.log(10.0) * (place["ph"] - 7.0)
        elif name != WATER:
            span = next(filter(None, (data.ranges.get((each, letter)) for each in names)), DEFAULT_RANGE)
            lower[row], upper[row] = (thermal * bound for bound in _log_range(metabolite, *span))
    deviations = np.column_stack([covariance, *(each for each in others.values() if each.any())])
    return _Metabolites(known, places, formation, electric, charges, lower, upper, deviations)


def _reason_against(found: _Metabolites, own: Sequence[int], gained: float, *, listed: bool) -> str:
    """Why a reaction of these metabolites has no energy; empty if nothing speaks against it."""
    if len(own) < 2:
        return "listed in mechanisms.tsv" if listed else "a bookkeeping entry"
    if np.isnan(found.formation[own]).any():
        return "a metabolite without energy"
    return "does not balance" if gained > TOLERANCE else ""


def _reason_against_carrier(found: _Metabolites, own: Sequence[int], amounts: FloatArray) -> str:
    """Why the equation of a reaction between compartments says nothing about its energy."""
    moved = {found.known[row] for row in own}
    if moved <= DIFFUSING:
        return "diffusion"
    if not abs(found.charges[own] @ amounts) <= TOLERANCE:
        return "charges do not balance"
    works = abs(found.electric[own] @ amounts) > TOLERANCE
    if works and (found.charges[own] < 0.0).any() and moved.isdisjoint((PROTON, SODIUM)):
        return "counter-ions are not known"  # cations alone may follow the potential through a channel
    return ""


def with_known_directions(network: Network) -> Network:
    """Return a network without the directions that its reactions do not have in cells, see `directions.tsv`."""
    bounds = {}
    for name, direction in energy_data().directions.items():
        if own := network.find_reaction(name):
            low, high = network.bounds_of(own)
            bounds[own] = (max(low, 0.0), max(high, 0.0)) if direction == "forward" else (0.0, 0.0)
    return network.with_bounds(bounds)


def _reactants(network: Network, reaction: str, mechanisms: Mapping[str, dict[str, float]]) -> dict[int, float]:
    """What counts for the energy of a reaction, by row; nothing where it has none, or runs by another mechanism."""
    written = {name: value for name, value in network.stoichiometry_of(reaction).items() if not is_bookkeeping(name)}
    mechanism = mechanisms.get(network.bigg_names.get(reaction, reaction))
    own = written if mechanism is None else {network.find_metabolite(n) or n: a for n, a in mechanism.items()}

    def moved(amounts: Mapping[str, float]) -> dict[str, float]:
        return {name: amount for name, amount in amounts.items() if not network.is_species(name, PROTON, SODIUM)}

    rows = network.metabolite_index
    return {rows[name]: amount for name, amount in own.items()} if moved(own) == moved(written) else {}


def _largest_gain(reactants: Any, compositions: list[Mapping[str, float]]) -> FloatArray:
    """Atoms of the element, or parts of molecules, of which each reaction makes or consumes most."""
    found = sorted(set().union(*compositions))
    table = np.array([[0.0, *(each.get(element, 0.0) for element in found)] for each in compositions])
    return np.asarray(np.abs(reactants.T @ table).max(axis=1))


def is_bookkeeping(metabolite: str) -> bool:
    """Whether it is the entry of a ledger, or an enzyme in the form of a metabolite."""
    return metabolite.endswith(LEDGER) or metabolite.startswith(ENZYME)


def _log_range(name: str, low: float, high: float) -> tuple[float, float]:
    least, most = POSSIBLE
    if not least <= low <= high <= most:
        raise RedoxError(
            f"concentration of {name}: {low:g} to {high:g} M is no range between {least:g} and {most:g} M",
            hint="give it in M, the smaller figure first",
            settings=("concentrations",),
        )
    return math.log(low), math.log(high)
