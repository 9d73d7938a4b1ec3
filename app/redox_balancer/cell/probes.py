"""Probes for what a cell must not get for free: redox equivalents oxidised or made, NADPH, ATP or a proton gradient.

Nothing enters or leaves but water, protons and, inwards, oxygen; each probe is an outside reaction that runs if the
network can undo it. Oxidation is probed without the reactions that oxidise quinols, so without a respiratory chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from redox_balancer.cell.lp import ROUND_OFF, FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Column, Network
from redox_balancer.errors import RedoxError

_QUINOL = re.compile(r"q\d*h2|(2dm)?mql\d+")
_OXIDANTS = {"o2", "ficytC", "ficytc"}
_CARRIERS = {  # equation of each reduction less two protons, by the reduced carrier
    "nadh": {"nad": -1, "nadh": 1, "h": 1},
    "nadph": {"nadp": -1, "nadph": 1, "h": 1},
    "q10h2": {"q10": -1, "q10h2": 1},
    "q8h2": {"q8": -1, "q8h2": 1},
}
_ATP = {"atp": -1, "h2o": -1, "adp": 1, "pi": 1, "h": 1}
_TRANSHYDROGENATION = {"nad": -1, "nadph": -1, "nadh": 1, "nadp": 1}


class Free(StrEnum):
    """What a cell would get for free."""

    OXIDATION = "oxidation"
    REDUCTION = "reduction"
    NADPH = "NADPH from NADH"
    ATP = "ATP"
    GRADIENT = "proton gradient"


@dataclass(frozen=True)
class Probe:
    """An outside reaction that only runs if the network undoes it for free.

    Attributes
    ----------
    free
        What would be free then.
    subject
        The carrier of a redox probe with its compartment (`nadh_m`), else the compartment.
    stoichiometry
        Coefficients by the model's metabolite ids.
    """

    free: Free
    subject: str
    stoichiometry: Mapping[str, float] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.free} ({self.subject})"


def probes_of(network: Network) -> tuple[Probe, ...]:
    """Return the probes that fit a model: one for each carrier in each compartment that has it."""
    return tuple(_probes(network))


def _probes(network: Network) -> Iterator[Probe]:
    letters = sorted({network.compartment_of(metabolite) for metabolite in network.metabolites})
    outside = network.find_metabolite("h_e")
    for letter in letters:
        for carrier, equation in _CARRIERS.items():
            # Two protons come from outside: a closed compartment without a way in for them would reoxidise nothing.
            protons = outside or network.find_metabolite(f"h_{letter}")
            if protons and (found := _in(network, equation, letter)):
                found[protons] = found.get(protons, 0.0) - 2.0
                yield Probe(Free.OXIDATION, f"{carrier}_{letter}", found)
                yield Probe(Free.REDUCTION, f"{carrier}_{letter}", {m: -value for m, value in found.items()})
        for free, equation in ((Free.NADPH, _TRANSHYDROGENATION), (Free.ATP, _ATP)):
            if found := _in(network, equation, letter):
                yield Probe(free, letter, found)
    inner, matrix = network.find_metabolite("h_i"), network.find_metabolite("h_m")
    if inner and matrix:
        yield Probe(Free.GRADIENT, "i", {inner: -1.0, matrix: 1.0})


def _in(network: Network, equation: Mapping[str, float], letter: str) -> dict[str, float] | None:
    found = {network.find_metabolite(f"{species}_{letter}"): float(value) for species, value in equation.items()}
    return None if None in found else {metabolite: value for metabolite, value in found.items() if metabolite}


def free_fluxes(network: Network, probes: Sequence[Probe] | None = None) -> dict[Probe, float]:
    """Compute the largest flux of each probe of a model, at most 1 mmol/gDW/h; 0 where nothing is free.

    `probes` are some of `probes_of`, by default all of them.

    Raises
    ------
    RedoxError
        A probe's linear program has no optimum.
    """
    probes = probes_of(network) if probes is None else probes
    columns = [Column(f"probe {probe}", probe.stoichiometry) for probe in probes]
    closed = _closed_cell(network).with_columns(columns)
    chain = [closed.column(reaction) for reaction in _quinol_oxidases(network)]
    found: dict[Probe, float] = {}
    with FluxLP(closed, {}) as lp:
        for probe, column in zip(probes, columns, strict=True):
            position = closed.column(column.id)
            for reaction in chain:
                open_ = 0.0 if probe.free is Free.OXIDATION else 1.0
                lp.set_bounds(reaction, open_ * closed.lower[reaction], open_ * closed.upper[reaction])
            lp.set_bounds(position, 0.0, 1.0)
            lp.set_objective({column.id: 1.0})
            solution = lp.maximise()
            if not solution.optimal:
                raise RedoxError(f"the probe of free {probe} ended {solution.status.value} on model {network.id}")
            found[probe] = solution.objective if solution.objective > ROUND_OFF else 0.0
            lp.set_bounds(position, 0.0, 0.0)
    return found


def _quinol_oxidases(network: Network) -> list[str]:
    """Reactions that oxidise a quinol by oxygen or cytochrome c: complex III, alternative and bacterial oxidases."""
    found = []
    for reaction in network.reactions:
        stoichiometry = network.stoichiometry_of(reaction)
        sides = [(network.species_of(metabolite), value > 0) for metabolite, value in stoichiometry.items()]
        quinols = {side for species, side in sides if any(map(_QUINOL.fullmatch, species))}
        if quinols & {side for species, side in sides if species & _OXIDANTS}:
            found.append(reaction)
    return found


def _closed_cell(network: Network) -> Network:
    """The network with its boundary closed but for oxygen, water and protons, without growth or forced fluxes."""
    lower, upper = np.minimum(network.lower, 0.0), np.maximum(network.upper, 0.0)
    bounds = {r: (float(low), float(high)) for r, low, high in zip(network.reactions, lower, upper, strict=True)}
    for metabolite, reactions in network.boundary_coefficients.items():
        species = network.species_of(metabolite) if network.compartment_of(metabolite) == "e" else set()
        for reaction, coefficient in reactions.items():
            inward, outward = OPEN * bool(species & {"o2", "h2o", "h"}), OPEN * bool(species & {"h2o", "h"})
            bounds[reaction] = (-inward, outward) if coefficient < 0 else (-outward, inward)
    bounds |= {r: (0.0, 0.0) for r in network.reactions if r == network.objective or "biomass" in r.lower()}
    return network.with_bounds(bounds)
