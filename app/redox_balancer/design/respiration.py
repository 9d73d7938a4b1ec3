"""The unit of the value, one healthy respiration: NAD(P)H that the oxygen uptake of the healthy cell can oxidise."""

from redox_balancer.cell.exchanges import find_exchange
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Network
from redox_balancer.errors import RedoxError

OXYGEN = "EX_o2_e"
NADH_PER_OXYGEN = 2.0


def oxygen_uptake(network: Network) -> float:
    """Largest oxygen uptake of a cell on its medium, mmol/gDW/h; 0 if the model or the medium provides none.

    The largest uptake rather than the uptake at an optimum, which need not be unique.
    """
    exchange = find_exchange(network, OXYGEN)
    return 0.0 if exchange is None else exchange.uptake


def respiration(network: Network) -> float:
    """NAD(P)H that the oxygen uptake can oxidise, mmol/gDW/h.

    A RedoxError if the cell takes up no oxygen, or its uptake is not limited: more than `OPEN`.
    """
    uptake = oxygen_uptake(network)
    if 0.0 < uptake <= OPEN:
        return NADH_PER_OXYGEN * uptake
    hint = "choose a medium with limited oxygen, or the reward 'sink-flux', which does not depend on it"
    if uptake:
        problem = f"the oxygen uptake of model {network.id} is unlimited ({uptake:g})"
    elif find_exchange(network, OXYGEN) is None:
        problem = f"model {network.id} has no exchange of oxygen"
        hint += f"; the exchange is {OXYGEN}, or a reaction of nothing but o2_e, by id or BiGG name"
    else:
        problem = f"model {network.id} has no oxygen uptake on this medium"
    raise RedoxError(f"the value has no unit: {problem}", hint=hint, settings=("medium", "reward"))


def unusual_unit(network: Network) -> tuple[str, ...]:
    """What is to be said about the unit, in one line: models write `OPEN` where they mean no limit."""
    if oxygen_uptake(network) != OPEN:
        return ()
    return (f"values are relative to an oxygen uptake of {OPEN:g} mmol/gDW/h, which stands for no limit in models",)
