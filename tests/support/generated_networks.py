"""Generated networks of up to two dozen reactions with all that makes the linear programs of real models hard.

Coefficients over six orders of magnitude, bounds of 0, 1000, 999999 and infinity, fixed and forced fluxes, cycles
and dead ends. The generator draws from a `random.Random`: tests pass the one of hypothesis
(`st.randoms(use_true_random=False)`), which shrinks; drills pass a seeded one.
"""

from dataclasses import replace
from math import inf, isfinite
from random import Random

from hypothesis import strategies as st

from redox_balancer.cell.network import Column, FloatArray, Network
from redox_balancer.cell.parameters import Parameter
from small_networks import small_network

BOUNDS = (0.5, 10.0, 1000.0, 1000.0, 1000.0, 999999.0, 1e6, inf)


def coefficient(random: Random, orders: int = 3) -> float:
    """A positive coefficient: mostly 1, else two digits times a power of ten."""
    if random.random() < 0.5:
        return float(random.choice((1, 1, 1, 2, 3)))
    # Written as a decimal, so that a coefficient and its inverse are exact.
    return float(f"{random.choice((1, 1, 2, 5, 7, 13, 25))}e{random.randint(-orders, orders)}")


def bounds(random: Random) -> tuple[float, float]:
    """Bounds of a reaction: one-way or reversible, sometimes closed, fixed or forced."""
    most = random.choice(BOUNDS)
    kind = random.randrange(20)
    if kind < 9:
        return 0.0, most
    if kind < 15:
        return -most, most
    if kind < 16:
        return -most, 0.0
    if kind < 17:
        return 0.0, 0.0
    if kind < 18:
        return -random.choice(BOUNDS), random.choice(BOUNDS)
    flux = coefficient(random, 2) * random.choice((1, 1, -1))
    return (flux, flux) if kind < 19 else (min(flux, random.choice((inf, 1000.0))), max(1000.0, flux))


def random_network(random: Random) -> Network:
    """A network with the objective BIOMASS."""
    metabolites = [f"m{number}" for number in range(random.randint(2, 10))]
    columns = [
        Column(f"EX_{metabolite}", {metabolite: random.choice((-1.0, -1.0, -1.0, 1.0))}, *bounds(random))
        for metabolite in metabolites
        if random.random() < 0.5
    ]
    for number in range(random.randint(1, 12)):
        size = min(len(metabolites), random.choice((2, 2, 2, 3, 4)))
        chosen = random.sample(metabolites, size)
        sides = [-1] + [random.choice((-1, 1)) for _ in chosen[2:]] + [1]
        columns.append(
            Column(
                f"R{number}",
                {m: side * coefficient(random) for m, side in zip(chosen, sides, strict=True)},
                *bounds(random),
            )
        )
    if random.random() < 0.4:
        columns += _cycle(random, metabolites)
    if random.random() < 0.4:
        columns.append(
            Column("DEAD_END", {random.choice(metabolites): -coefficient(random), "d": 1.0}, *bounds(random))
        )
    needed = random.sample(metabolites, min(len(metabolites), random.randint(1, 4)))
    growth = (0.0, random.choice(BOUNDS)) if random.random() < 0.9 else bounds(random)
    columns.append(Column("BIOMASS", {m: -coefficient(random) for m in needed}, *growth))
    return small_network(*columns, objective="BIOMASS")


def _cycle(random: Random, metabolites: list[str]) -> list[Column]:
    """Reactions around a ring, each with the same coefficient at a metabolite whether it makes or uses it."""
    ring = random.sample(metabolites, min(len(metabolites), random.randint(2, 4)))
    amounts = [coefficient(random) for _ in ring]
    return [
        Column(
            f"CYCLE{place}",
            {ring[place - 1]: -amounts[place - 1], ring[place]: amounts[place]},
            *((0.0, random.choice(BOUNDS)) if random.random() < 0.7 else bounds(random)),
        )
        for place in range(len(ring))
    ]


def changing_bounds(random: Random, network: Network) -> list[Parameter]:
    """Up to two upper bounds that change, each from 0 to what it is."""
    chosen = random.sample(range(len(network.reactions)), 2)
    ranges = ((column, float(network.lower[column]), float(network.upper[column])) for column in chosen)
    return [Parameter(c, upper=True, low=0.0, high=up) for c, low, up in ranges if low <= 0.0 < up and isfinite(up)]


def with_values(network: Network, parameters: list[Parameter], u: FloatArray) -> Network:
    """The network in which each bound that changes has its value of u."""
    lower, upper = network.lower.copy(), network.upper.copy()
    for parameter, value in zip(parameters, u.tolist(), strict=True):
        (upper if parameter.upper else lower)[parameter.column] = value
    return replace(network, lower=lower, upper=upper)


def networks() -> st.SearchStrategy[Network]:
    """Strategy of `random_network`."""
    return st.randoms(use_true_random=False).map(random_network)
