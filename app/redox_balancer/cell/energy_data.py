"""The data files of `data/thermodynamics`: energies of formation, their covariance, ranges, mechanisms, places."""

import gzip
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from redox_balancer.cell.balance import elements
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.records import packaged, packaged_rows, table_rows

AS_WRITTEN = "as written"
CONTRIBUTED = "component contribution"
"""Origin of energies with a common covariance; others are those of pairs, each with an uncertainty of its own."""


class EnergyData(NamedTuple):
    """Content of the data files; names are BiGG's without compartment, letters those of compartments."""

    energies: dict[str, tuple[float, float]]
    compositions: dict[str, Mapping[str, float]]
    covariance: dict[str, FloatArray]
    ranges: dict[tuple[str, str], tuple[float, float]]
    mechanisms: dict[str, dict[str, float]]
    as_written: frozenset[str]
    temperature_k: float
    compartments: dict[str, dict[str, Any]]
    elsewhere: dict[str, str]
    of_pairs: frozenset[str]
    directions: dict[str, str]

    def roots_for(self, known: Collection[str]) -> Mapping[str, FloatArray]:
        """Rows of the square root of the covariance: of the core's metabolites where there are no others."""
        others = self.energies.keys() - self.covariance.keys() - self.of_pairs
        return _genome_covariance() if others.intersection(known) else self.covariance


@cache
def energy_data() -> EnergyData:
    """Read the data files."""

    def rows(name: str) -> list[list[str]]:
        return packaged_rows(f"thermodynamics/{name}.tsv")

    energies = rows("formation_energies")
    surroundings = tomllib.loads(packaged("thermodynamics/compartments.toml").read_text(encoding="utf-8"))
    equations = {reaction: equation for reaction, equation, _ in rows("mechanisms")}
    return EnergyData(
        {name: (float(energy), float(deviation)) for name, _, energy, deviation, _ in energies},
        {name: elements(composition) for name, composition, *_ in energies},
        _roots(rows("formation_covariance")),
        {
            (name, letter): (float(low), float(high))
            for name, letters, low, high, _ in rows("concentrations")
            for letter in letters.split()
        },
        {
            name: {} if equation == "none" else parse_equation(equation)
            for name, equation in equations.items()
            if equation != AS_WRITTEN
        },
        frozenset(name for name, equation in equations.items() if equation == AS_WRITTEN),
        surroundings["temperature_K"],
        surroundings["compartment"],
        surroundings["elsewhere"],
        frozenset(name for name, *_, source in energies if not source.startswith(CONTRIBUTED)),
        {reaction: direction for reaction, direction, _ in rows("directions")},
    )


@cache
def _genome_covariance() -> dict[str, FloatArray]:
    with gzip.open(packaged("thermodynamics/genome_covariance.tsv.gz"), "rt", encoding="utf-8") as table:
        return _roots(table_rows(table.read())[1:])


def _roots(rows: list[list[str]]) -> dict[str, FloatArray]:
    return {name: np.array(row, dtype=np.float64) for name, *row in rows}
