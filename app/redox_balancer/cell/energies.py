"""Energies of reactions and ranges of concentrations, from the data files in `data/thermodynamics`.

    dG'(r) = sum over metabolites i of  nu(i, r) (G(i) + RT ln c(i) + z(i) F phi(i))

G are transformed energies of formation at pH 7 (Alberty 2003), c concentrations, z charges and phi the electric
potential of the compartment. A proton has G = 0 and ln c = -ln(10) (pH - 7), water G of its own and ln c = 0, so a
reaction that balances hydrogen and charge has the right energy at any pH, and one that crosses a membrane has its
share of the proton-motive force (as Haraldsdottir et al. 2012, Biophys. J. 102:1703, put it). The derivation and its
limits: docs/ratio.md.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.media import ENZYME
from redox_balancer.cell.network import LEDGER, FloatArray, Network
from redox_balancer.cell.records import packaged, table_rows
from redox_balancer.errors import RedoxError

GAS_CONSTANT = 8.31446261815324e-3
"""kJ/mol/K"""
FARADAY = 96.48533212
"""kJ/mol/V"""
PROTON, SODIUM, WATER = "h", "na1", "h2o"
DEFAULT_RANGE = 1e-6, 1e-2
"""Range of a concentration that no file gives, M (assumed; Noor et al. 2014, PLoS Comput. Biol. 10:e1003483)."""

POSSIBLE = 1e-12, 10.0
"""Concentrations that a solution in a cell or a medium can have, M (assumed)."""


@dataclass(frozen=True, eq=False)
class Thermodynamics:
    """What is known of the energies of a network's reactions.

    Attributes
    ----------
    network
        The network; all arrays are in its order.
    reactants
        Coefficient of each metabolite that counts for the energy of each reaction, a sparse array of shape
        (metabolites, reactions). It differs from the network's where `mechanisms.tsv` says so.
    energies
        Energy of each reaction as written, all reactants but protons and water at 1 M and each in its compartment,
        shape (reactions,), kJ/mol; NaN where it is not known.
    lower, upper
        Range of RT ln c of each metabolite, c in M, shape (metabolites,), kJ/mol.
    deviations
        What an independent standard normal variable adds to the energies of metabolites, shape (metabolites,
        variables), kJ/mol: the square root of a covariance that a substance has in all compartments, and one variable
        for each uncertain potential and for each figure of another origin.
    temperature_k
        Temperature, K.
    """

    network: Network
    reactants: Any
    energies: FloatArray
    lower: FloatArray
    upper: FloatArray
    deviations: FloatArray
    temperature_k: float

    @property
    def thermal_energy(self) -> float:
        """RT, kJ/mol."""
        return GAS_CONSTANT * self.temperature_k

    def without_energy(self) -> tuple[str, ...]:
        """Reactions inside the cell without a known energy, which then sets no limit; exchanges do not count."""
        boundary = set(self.network.boundary)
        unknown = np.flatnonzero(np.isnan(self.energies)).tolist()
        return tuple(r for r in (self.network.reactions[c] for c in unknown) if r not in boundary)

    def drawn(self, generator: np.random.Generator) -> FloatArray:
        """Energies of the reactions with those of the metabolites and the potentials drawn from their uncertainty."""
        drawn = self.deviations @ generator.standard_normal(self.deviations.shape[1])
        return np.asarray(self.energies + self.reactants.T @ drawn)

    def with_concentrations(self, ranges: Mapping[str, tuple[float, float]]) -> Thermodynamics:
        """Return a copy with other ranges of concentrations, M, by metabolite (own id or BiGG name).

        Raises
        ------
        RedoxError
            There is no such metabolite, or a range is empty or not positive.
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

    Parameters
    ----------
    network
        Reactions that cross a membrane need the charges of their metabolites, and a balance of charge.
    respires
        Whether the inner membrane has the potential of a cell that respires, or that of one that does not.
    """
    data = _read(packaged("thermodynamics"))
    thermal, count = GAS_CONSTANT * data.temperature_k, len(network.metabolites)
    formation, electric = np.full(count, math.nan), np.zeros(count)
    lower, upper = np.zeros((2, count))
    places: list[str] = []
    potential = "potential_V" if respires else "potential_without_respiration_V"
    covariance, others = np.zeros((count, data.variables)), dict[str, FloatArray]()
    for row, metabolite in enumerate(network.metabolites):
        names, letter = sorted(network.species_of(metabolite)), network.compartment_of(metabolite)
        places += [next(filter(None, (data.elsewhere.get(f"{name}_{letter}") for name in names)), letter)]
        known, place = next(filter(data.energies.get, names), None), data.compartments.get(places[-1])
        if known is None or place is None:
            continue
        charge = network.charges.get(metabolite, math.nan)
        formation[row], deviation = data.energies[known]
        covariance[row] = data.covariance.get(known, 0.0)
        electric[row] = FARADAY * place.get(potential, place["potential_V"]) * charge
        others.setdefault(known, np.zeros(count))[row] = deviation
        uncertain = FARADAY * place.get("potential_uncertainty_V", 0.0) * np.nan_to_num(charge)
        others.setdefault(f"potential {places[-1]}", np.zeros(count))[row] = uncertain
        if PROTON in names:
            lower[row] = upper[row] = -thermal * math.log(10.0) * (place["ph"] - 7.0)
        elif WATER not in names:
            span = next(filter(None, (data.ranges.get((name, letter)) for name in names)), DEFAULT_RANGE)
            lower[row], upper[row] = (thermal * bound for bound in _log_range(metabolite, *span))
    reactions = [_reactants(network, reaction, data.mechanisms) for reaction in network.reactions]
    found = np.full(len(reactions), math.nan)
    for column, (reaction, amounts) in enumerate(zip(network.reactions, reactions, strict=True)):
        own = list(amounts)
        if len(own) > 1 and reaction != network.objective:
            energy = formation[own]
            if len({places[row] for row in own}) > 1:
                energy = energy + electric[own]  # within a compartment charges balance, and need not be known
            found[column] = np.array(list(amounts.values())) @ energy
    values = [amount for amounts in reactions for amount in amounts.values()]
    rows = [row for amounts in reactions for row in amounts]
    ends = np.cumsum([0, *map(len, reactions)])
    reactants = sp.csc_array((values, rows, ends), shape=(count, len(reactions)))
    deviations = np.column_stack([covariance, *(each for each in others.values() if each.any())])
    return Thermodynamics(network, reactants, found, lower, upper, deviations, data.temperature_k)


def _reactants(network: Network, reaction: str, mechanisms: Mapping[str, dict[str, float]]) -> dict[int, float]:
    """What counts for the energy of a reaction, by row; nothing where it has none, or runs by another mechanism."""
    written = {
        name: amount for name, amount in network.stoichiometry_of(reaction).items() if not _is_bookkeeping(name)
    }
    mechanism = mechanisms.get(network.bigg_names.get(reaction, reaction))
    own = written if mechanism is None else {network.find_metabolite(n) or n: a for n, a in mechanism.items()}

    def moved(amounts: Mapping[str, float]) -> dict[str, float]:
        return {name: amount for name, amount in amounts.items() if not network.is_species(name, PROTON, SODIUM)}

    rows = network.metabolite_index
    return {rows[name]: amount for name, amount in own.items()} if moved(own) == moved(written) else {}


def _is_bookkeeping(metabolite: str) -> bool:
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


class _Data(NamedTuple):
    """Content of a folder of data files; names are BiGG's without compartment, letters those of compartments."""

    energies: dict[str, tuple[float, float]]
    covariance: dict[str, FloatArray]
    ranges: dict[tuple[str, str], tuple[float, float]]
    mechanisms: dict[str, dict[str, float]]
    temperature_k: float
    compartments: dict[str, dict[str, Any]]
    elsewhere: dict[str, str]

    @property
    def variables(self) -> int:
        """Number of columns of the square root of the covariance."""
        return len(next(iter(self.covariance.values())))


@cache
def _read(folder: Path) -> _Data:
    def rows(name: str) -> list[list[str]]:
        return table_rows((folder / f"{name}.tsv").read_text(encoding="utf-8"))[1:]

    surroundings = tomllib.loads((folder / "compartments.toml").read_text(encoding="utf-8"))
    equations = {reaction: equation for reaction, equation, _ in rows("mechanisms")}
    return _Data(
        {name: (float(energy), float(deviation)) for name, energy, deviation, _ in rows("formation_energies")},
        {name: np.array(row, dtype=np.float64) for name, *row in rows("formation_covariance")},
        {
            (name, letter): (float(low), float(high))
            for name, letters, low, high, _ in rows("concentrations")
            for letter in letters.split()
        },
        {name: {} if equation == "none" else parse_equation(equation) for name, equation in equations.items()},
        surroundings["temperature_K"],
        surroundings["compartment"],
        surroundings["elsewhere"],
    )
