"""Networks of a few reactions."""

from collections.abc import Mapping

from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.network import Column, Network


def small_network(*columns: Column, objective: str = "") -> Network:
    """Network of these reactions and their metabolites."""
    return Network.of("toy", columns, objective)


def network_of(reactions: Mapping[str, str | tuple[str, float, float]], objective: str = "") -> Network:
    """Network of these equations, with bounds where they are not those of the arrow."""
    columns = []
    for name, given in reactions.items():
        equation, *bounds = (given,) if isinstance(given, str) else given
        columns.append(
            Column(name, parse_equation(equation), *bounds or (0.0 if "-->" in equation else -1000.0, 1000.0))
        )
    return small_network(*columns, objective=objective)
