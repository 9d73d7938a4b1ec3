"""Probes for what a cell must not get for free: redox equivalents oxidised or made, NADPH, ATP or a proton gradient.

Nothing enters or leaves but water, inwards oxygen, and protons in the compartment of the probe: protons from another
one would carry a gradient with them. Each probe is an outside reaction that runs if the network can undo it.
Oxidation is probed without the reactions that oxidise quinols, so without a respiratory chain; in bacteria, whose
soluble oxidases and monooxygenases take electrons from NAD(P)H themselves, without any reaction that takes oxygen.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from redox_balancer.cell.lp import ROUND_OFF, FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.names import EXTRACELLULAR
from redox_balancer.cell.network import Column, Network
from redox_balancer.errors import RedoxError

_QUINOL = re.compile(r"q\d*h2|(2dm)?mql\d+")
_OXIDANTS = {"o2", "ficytC", "ficytc"}
_QUINONES = {"q10h2": "q10", "q8h2": "q8", "q6h2": "q6", "mql8": "mqn8", "2dmmql8": "2dmmq8", "mql7": "mqn7"}
_CARRIERS: dict[str, dict[str, float]] = {  # equation of each reduction, by the reduced carrier
    "nadh": {"nad": -1, "h": -1, "nadh": 1},
    "nadph": {"nadp": -1, "h": -1, "nadph": 1},
    **{quinol: {quinone: -1, "h": -2, quinol: 1} for quinol, quinone in _QUINONES.items()},
}
_ATP = {"atp": -1, "h2o": -1, "adp": 1, "pi": 1, "h": 1}
_TRANSHYDROGENATION = {"nad": -1, "nadph": -1, "nadh": 1, "nadp": 1}
GRADIENTS = {"i": "m", "p": "c"}
"""Compartment into which protons are pumped, and the one they come from: matrix and cytosol of bacteria."""


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

    Its subject is the carrier of a redox probe with its compartment (`nadh_m`), else the compartment; `stoichiometry`
    has coefficients by the model's metabolite ids.
    """

    free: Free
    subject: str
    stoichiometry: Mapping[str, float] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.free} ({self.subject})"

    @property
    def column(self) -> str:
        """Name of its column in a `ProbedCell`."""
        return f"probe {self}"


def probes_of(network: Network) -> Iterator[Probe]:
    """The probes that fit a model: one for each carrier in each compartment that has it."""
    letters = sorted(set(map(network.compartment_of, network.metabolites)))
    for letter in letters:
        for carrier, equation in _CARRIERS.items():
            if found := _in(network, equation, letter):
                yield Probe(Free.OXIDATION, f"{carrier}_{letter}", found)
                yield Probe(Free.REDUCTION, f"{carrier}_{letter}", {m: -value for m, value in found.items()})
        for free, energy in ((Free.NADPH, _TRANSHYDROGENATION), (Free.ATP, _ATP)):
            if found := _in(network, energy, letter):
                yield Probe(free, letter, found)
    for outer, inner in GRADIENTS.items():
        out, back = network.find_metabolite(f"h_{outer}"), network.find_metabolite(f"h_{inner}")
        if out and back:
            yield Probe(Free.GRADIENT, outer, {out: -1.0, back: 1.0})


def _in(network: Network, equation: Mapping[str, float], letter: str) -> dict[str, float] | None:
    found = {network.find_metabolite(f"{species}_{letter}"): float(value) for species, value in equation.items()}
    return None if None in found else {metabolite: value for metabolite, value in found.items() if metabolite}


class ProbedCell:
    """A model as its probes see it: closed, without growth and forced fluxes, with a closed column for each probe."""

    def __init__(self, network: Network) -> None:
        self.probes = tuple(probes_of(network))
        self._protons = {
            f"protons {letter}": Column(f"protons {letter}", {protons: 1.0})
            for letter in sorted({probe.subject.rpartition("_")[2] for probe in self.probes} - GRADIENTS.keys())
            if (protons := network.find_metabolite(f"h_{letter}"))
        }
        columns = [Column(probe.column, probe.stoichiometry) for probe in self.probes]
        self.network = _closed_cell(network).with_columns([*columns, *self._protons.values()])
        self._chain = {reaction: self.network.bounds_of(reaction) for reaction in _oxidases(network)}

    def bounds(self, probe: Probe) -> dict[str, tuple[float, float]]:
        """Bounds of all columns that differ between probes, with this one between 0 and 1 mmol/gDW/h."""
        found = dict.fromkeys(self._chain, (0.0, 0.0)) if probe.free is Free.OXIDATION else dict(self._chain)
        found |= dict.fromkeys((*(each.column for each in self.probes), *self._protons), (0.0, 0.0))
        found[probe.column] = (0.0, 1.0)
        if (protons := f"protons {probe.subject.rpartition('_')[2]}") in self._protons:
            found[protons] = (-OPEN, OPEN)
        return found


def free_fluxes(network: Network, probes: Sequence[Probe] | None = None) -> dict[Probe, float]:
    """Compute the largest flux of each probe of a model, at most 1 mmol/gDW/h; 0 where nothing is free.

    `probes` are some of `probes_of`, by default all of them.
    """
    cell = ProbedCell(network)
    found: dict[Probe, float] = {}
    with FluxLP(cell.network, {}) as lp:
        for probe in cell.probes if probes is None else probes:
            for name, bounds in cell.bounds(probe).items():
                lp.set_bounds(cell.network.column(name), *bounds)
            lp.set_objective({probe.column: 1.0})
            solution = lp.maximise()
            if not solution.optimal:
                raise RedoxError(f"the probe of free {probe} ended {solution.status.value} on model {network.id}")
            found[probe] = solution.objective if solution.objective > ROUND_OFF else 0.0
    return found


def is_bacterial(network: Network) -> bool:
    """Whether a model is one of bacteria: it has a periplasm, or menaquinols or ubiquinol-8 and no mitochondria."""
    letters = set(map(network.compartment_of, network.metabolites))
    return "m" not in letters and (
        "p" in letters or any(network.is_species(m, "q8h2", "mql8", "mql7") for m in network.metabolites)
    )


def _oxidases(network: Network) -> list[str]:
    """Reactions that oxidise a quinol by oxygen or cytochrome c; in bacteria every reaction that takes oxygen."""
    found, bacterial, boundary = [], is_bacterial(network), set(network.boundary)
    for reaction in network.reactions:
        stoichiometry = network.stoichiometry_of(reaction)
        sides = [(network.species_of(metabolite), value > 0) for metabolite, value in stoichiometry.items()]
        quinols = {side for species, side in sides if any(map(_QUINOL.fullmatch, species))}
        oxidants = [side for species, side in sides if species & _OXIDANTS]
        takes_oxygen = bacterial and len(set(oxidants)) == 1 and reaction not in boundary
        if takes_oxygen or quinols & set(oxidants):
            found.append(reaction)
    return found


def _closed_cell(network: Network) -> Network:
    """The network with its boundary closed but for oxygen and water, without growth or forced fluxes."""
    bounds = {r: (0.0, 0.0) for r in network.reactions if r == network.objective or "biomass" in r.lower()}
    for metabolite, reactions in network.boundary_coefficients.items():
        species = network.species_of(metabolite) if network.compartment_of(metabolite) == EXTRACELLULAR else set()
        for reaction, coefficient in reactions.items():
            inward, outward = OPEN * bool(species & {"o2", "h2o"}), OPEN * bool(species & {"h2o"})
            bounds.setdefault(reaction, (-inward, outward) if coefficient < 0 else (-outward, inward))
    return network.unforced().with_bounds(bounds)
