"""Growth where energies decide on the direction of ATP synthase and its carrier, which the core has one way.

See `data/thermodynamics/backwards.tsv` and docs/ratio.md.
"""

import itertools
from collections.abc import Mapping

import numpy as np

from redox_balancer.cell.energies import thermodynamics_of
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.ratio_capacity import LEAST_GROWTH, GrowthAtRatio
from redox_balancer.cell.records import packaged_rows


def with_energetic_directions(network: Network) -> Network:
    """Return a network in which energies decide on the direction of reactions that the core has one way."""
    own = _decided_by_energies(network)
    return network.with_bounds({name: (-network.bounds_of(name)[1], network.bounds_of(name)[1]) for name in own})


def growth_by_ratios(
    network: Network, growth: float, draws: int = 0, ranges: Mapping[str, tuple[float, float]] | None = None
) -> FloatArray:
    """Growth (1/h) at the best ratio of NAD+ to NADH and the better of both potentials of the inner membrane.

    Reactions of `with_energetic_directions` run forward, backward or not at all, each combination for itself, and all
    that run have a driving force at once. The cell has its capacities as bounds, and `growth` (1/h, above 0) is its
    largest without regard to ratios. `ranges` of concentrations, M, replace the package's.

    Returns growth with the best estimate of the energies and with each draw from their uncertainty, which has the
    same seed for each cell, shape (1 + draws,).
    """
    best, cells = np.zeros(1 + draws), []
    own = [name for name in _decided_by_energies(network) if network.bounds_of(name)[0] < 0.0]
    for signs in itertools.product((1.0, 0.0, -1.0), repeat=len(own)):
        at = dict(zip(own, signs, strict=True))
        ends = {name: network.bounds_of(name) for name in own}
        cell = network.with_bounds({n: (low * (at[n] < 0), high * (at[n] > 0)) for n, (low, high) in ends.items()})
        with FluxLP(cell) as lp:
            solution = lp.maximise()
        if solution.optimal and solution.objective >= LEAST_GROWTH * growth:
            cells.append((solution.objective, cell, {name: sign for name, sign in at.items() if sign}))
    for largest, cell, directions in sorted(cells, key=lambda found: -found[0]):
        for respires in (True, False):
            if largest <= best.min():
                break
            known = thermodynamics_of(cell, respires=respires).with_concentrations(ranges or {})
            generator = np.random.default_rng(0)
            with GrowthAtRatio(known, largest, directions=directions) as bounded:
                of_nad = [ratio for ratio in bounded.ratios if cell.is_species(ratio.denominator, "nadh")]
                for draw in range(1 + draws):
                    bounded.set_energies(known.drawn(generator) if draw else known.energies)
                    if best[draw] < largest:
                        found = largest
                        for ratio in of_nad:
                            found = min(found, bounded.largest(ratio, found)) if found > best[draw] else 0.0
                        best[draw] = max(best[draw], found)
    return best


def _decided_by_energies(network: Network) -> list[str]:
    rows = packaged_rows("thermodynamics/backwards.tsv")
    return [found for name, _ in rows if (found := network.find_reaction(name))]
