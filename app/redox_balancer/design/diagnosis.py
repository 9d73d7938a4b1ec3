"""The diagnosis of a cell: growth, what limits it, and what outside redox reactions do to it, see `pressure.py`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from redox_balancer.design.growth_limits import Limit

AMOUNTS = (1e-3, 0.1, 1.0)
"""Fluxes of an outside reaction, mmol/gDW/h: a small one, from which slopes are taken, and two that count."""

EFFECT = 0.01  # least share of the unperturbed cell's growth that a condition takes if it is to have an effect
REDOX = 0.10
NOT_REDOX = 0.01
"""Share of the lost growth that an outside reaction wins back: from the first the trouble is redox, below the second
it is not. Where nothing is lost, the share is that of growth. Experiments are scored by the same shares."""

CARRIERS = {  # name, and equation of the oxidation by an acceptor from outside, by the reduced carrier
    "nadh": ("NADH", {"nadh": -1.0, "h": -1.0, "nad": 1.0}),
    "nadph": ("NADPH", {"nadph": -1.0, "h": -1.0, "nadp": 1.0}),
    "q10h2": ("ubiquinol", {"q10h2": -1.0, "q10": 1.0}),
    "q8h2": ("ubiquinol", {"q8h2": -1.0, "q8": 1.0}),
}
POOLS_SHOWN = 3
KINDS = "acceptor", "oxygen", "donor"
COMPARTMENTS = {"c": "cytosol", "m": "mitochondria", "x": "peroxisome", "r": "ER", "p": "periplasm"}


class Trouble(StrEnum):
    """What is wrong with a cell."""

    SURPLUS = "redox"
    LACK = "redox, or fuel"
    SLIGHT = "hardly redox"
    NONE = "not redox"


class Effect(NamedTuple):
    """What an outside reaction does to growth.

    `slope` is growth per forced flux at 0, 1/h per mmol/gDW/h, None where no flux can be forced or the cell cannot
    live; `gains` are the growth gained with up to each of `AMOUNTS`, 1/h.
    """

    slope: float | None
    gains: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Pressure:
    """Redox pressure of one pool: the effect of each outside reaction, None for `oxygen` in a model without it.

    `carrier` is one of `CARRIERS`, `compartment` its letter.
    """

    carrier: str
    compartment: str
    acceptor: Effect
    donor: Effect
    oxygen: Effect | None = None

    @property
    def pool(self) -> str:
        """BiGG name of the reduced carrier: `nadh_c`."""
        return f"{self.carrier}_{self.compartment}"

    def __str__(self) -> str:
        return f"{CARRIERS[self.carrier][0]} ({COMPARTMENTS.get(self.compartment, self.compartment)})"


@dataclass(frozen=True)
class Diagnosis:
    """Growth of a cell under a condition, what limits it, and its redox pressure."""

    condition: str
    growth: float  # the largest, 1/h; 0 where forced fluxes, such as maintenance, cannot be met
    lives: bool  # whether they can
    limits: list[Limit]  # that growth rests on, see `limits_of_growth` and `limits_without_growth`
    pressures: tuple[Pressure, ...]
    unperturbed: "Diagnosis | None" = None  # the cell that this one is compared with; None for that cell itself

    @property
    def reference_growth(self) -> float:
        """Growth of the unperturbed cell, 1/h."""
        return self.unperturbed.growth if self.unperturbed else self.growth

    @property
    def lost(self) -> float:
        """Share of the unperturbed cell's growth that is lost; negative where growth is higher."""
        return 1.0 - self.growth / self.reference_growth

    def shares(self, kind: str) -> dict[Pressure, float]:
        """Growth gained by up to 1 mmol/gDW/h of an outside reaction at each pool, as a share of what is lost.

        What the unperturbed cell would gain as well does not count. Where nothing is lost it is the share of growth.
        """

        def gains(diagnosis: "Diagnosis") -> list[float]:
            effects = (getattr(pressure, kind) for pressure in diagnosis.pressures)
            return [effect.gains[-1] if effect else 0.0 for effect in effects]

        own = gains(self)
        if self.unperturbed is None or self.lost < EFFECT:
            return {pressure: gain / self.growth for pressure, gain in zip(self.pressures, own, strict=True)}
        lost, others = self.reference_growth - self.growth, gains(self.unperturbed)
        won = (max(0.0, gain - other) / lost for gain, other in zip(own, others, strict=True))
        return dict(zip(self.pressures, won, strict=True))

    def strongest(self, kind: str) -> list[tuple[Pressure, float]]:
        """Pools where an `acceptor` or a `donor` gains at least half of what the best gains, with the shares."""
        shares = self.shares(kind).items()
        least = max(NOT_REDOX, *(share / 2 for _, share in shares))
        return sorted((pair for pair in shares if pair[1] >= least), key=lambda pair: -pair[1])

    @property
    def trouble(self) -> Trouble:
        """Whether the trouble is redox: a surplus counts before a lack, which more fuel would mend as well."""
        most = {kind: found[0][1] for kind in ("acceptor", "donor") if (found := self.strongest(kind))}
        if most.get("acceptor", 0.0) >= REDOX:
            return Trouble.SURPLUS
        if most.get("donor", 0.0) >= REDOX:
            return Trouble.LACK
        return Trouble.SLIGHT if most else Trouble.NONE

    def __str__(self) -> str:
        return f"{self.condition}: {self._growth_text()}; {self._redox_text()}"

    def _growth_text(self) -> str:
        growth = f"growth {self.growth:.4f} 1/h"
        if not self.growth:
            return "no growth" if self.lives else "no growth, forced fluxes such as maintenance cannot be met"
        if self.unperturbed is None:
            return growth
        if abs(self.lost) < EFFECT:
            return f"no effect, {growth}"
        return f"{growth}, {self.lost:.1%} lost" if self.lost > 0 else f"{growth}, {-self.lost:.1%} more"

    def _redox_text(self) -> str:
        if self.trouble is Trouble.NONE:
            return f"{self.trouble}: no acceptor or donor of electrons changes growth by {NOT_REDOX:.0%}"
        won, parts = "won back" if self.lost >= EFFECT else "added", []
        for kind, state in (("an acceptor", "surplus"), ("a donor", "lack")):
            if found := self.strongest(kind.split()[1])[:POOLS_SHOWN]:
                pools = ", ".join(f"{pressure} {share:.0%}" for pressure, share in found)
                oxygen = self.shares("oxygen")[found[0][0]] if found[0][0].oxygen and state == "surplus" else None
                own = "" if oxygen is None else f", by the cell's own oxygen {oxygen:.0%}"
                parts.append(f"{state} of electrons at {pools} ({won} by 1 mmol/gDW/h of {kind}{own})")
        return f"{self.trouble}: {'; '.join(parts)}"

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON; gains by amount."""
        return {
            "growth": self.growth,
            "unperturbed": self.unperturbed.condition if self.unperturbed else None,
            "reference_growth": self.reference_growth,
            "lives": self.lives,
            "trouble": self.trouble.name.lower(),
            "answer": str(self),
            "limits": self.limits,
            "pressures": {
                pressure.pool: {
                    kind: {"slope": effect.slope, "gains": dict(zip(map(str, AMOUNTS), effect.gains, strict=True))}
                    for kind in KINDS
                    if (effect := getattr(pressure, kind))
                }
                for pressure in self.pressures
            },
        }
