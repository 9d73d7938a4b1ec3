"""The linear programs behind a construct's value, kept in memory and solved only where no critical region answers."""

from collections.abc import Sequence

import numpy as np

from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.parameters import Parameter
from redox_balancer.cell.parametric import ParametricLP
from redox_balancer.cell.solution import Solution, Status
from redox_balancer.design.formulation import NO_GROWTH, Formulation, Weights, capacity_weights, guaranteed_weights
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

SINK_FLUX_WEIGHT = 1e-3  # weight of the inserted fluxes next to growth, with the reward `sink-flux`


class ValuePrograms:
    """Programs (a), largest growth, and (b), what the reward of a design space counts, as functions of a point.

    Points are those of `formulation`; `region_bytes` is the memory for the critical regions of each program, see
    `ParametricLP`.
    """

    def __init__(self, space: DesignSpace, formulation: Formulation, *, region_bytes: int) -> None:
        self._closed = False
        network, parameters, presolved = formulation.network, formulation.parameters, formulation.presolved
        biomass = network.column(network.objective)
        self._sinks = [network.column(p.reaction) for p in space.placements if p.foreign]
        self.growth_lp = ParametricLP(
            network, {biomass: 1.0}, parameters, region_bytes=region_bytes, presolved=presolved
        )
        largest = optimum(self.growth_lp.maximise(formulation.widest()[:-1]), "growth")

        def program(weights: Weights) -> ParametricLP:
            held = Parameter(biomass, upper=False, low=0.0, high=max(0.0, largest) * (1 + 1e-6))
            objective = {network.column(reaction): weight for reaction, weight in weights.items()}
            return ParametricLP(
                network, objective, [*parameters, held], region_bytes=region_bytes, presolved=presolved
            )

        if space.settings.reward == "sink-flux":
            # A flux is not an optimal value: it is read from the vertex that a solve ends at.
            objective = {biomass: 1.0, **dict.fromkeys(self._sinks, SINK_FLUX_WEIGHT)}
            self.flux_lps = [ParametricLP(network, objective, parameters, region_bytes=0, presolved=presolved)]
        elif space.settings.reward == "guaranteed":
            # The minimum of a function is the negative of the maximum of its negative.
            self.flux_lps = [program({r: -w for r, w in weights.items()}) for weights in guaranteed_weights(space)]
        elif space.settings.reward in ("rescue", "ratio"):
            self.flux_lps = []
        else:
            self.flux_lps = [program(capacity_weights(space))]
        self.lps = (self.growth_lp, *self.flux_lps)

    def close(self) -> None:
        """Free the programs; closing twice is harmless, and any later use raises a RedoxError."""
        self._closed = True
        for lp in self.lps:
            lp.close()

    def reset(self) -> None:
        """Forget bases and regions."""
        self._refuse_if_closed()
        for lp in self.lps:
            lp.reset()

    def growth(self, point: FloatArray) -> float:
        """Largest biomass flux, 1/h; 0 where the cell cannot live."""
        self._refuse_if_closed()
        growth = optimum(self.growth_lp.maximise(point[:-1]), "growth", dead=0.0)
        return growth if growth > NO_GROWTH else 0.0

    def growths(self, points: FloatArray, families: Sequence[int]) -> FloatArray:
        """`growth` at N points, shape (N, width), see `ParametricLP.maxima`."""
        self._refuse_if_closed()
        growths = self.growth_lp.maxima(
            points[:, :-1], families, lambda solution: optimum(solution, "growth", dead=0.0)
        )
        growths[growths <= NO_GROWTH] = 0.0
        return growths

    def capacity(self, point: FloatArray) -> float:
        """Largest NAD(P)H sink capacity with at least the biomass flux of the point, mmol/gDW/h."""
        self._refuse_if_closed()
        return max(0.0, optimum(self.flux_lps[0].maximise(point), "capacity", dead=0.0))

    def capacities(self, points: FloatArray, families: Sequence[int]) -> FloatArray:
        """`capacity` at N points, shape (N, width), see `ParametricLP.maxima`."""
        self._refuse_if_closed()
        most: FloatArray = self.flux_lps[0].maxima(
            points, families, lambda solution: optimum(solution, "capacity", dead=0.0)
        )
        return np.maximum(most, 0.0)

    def guaranteed(self, point: FloatArray) -> float:
        """Smallest NAD(P)H sink capacity with at least the biomass flux of the point, mmol/gDW/h."""
        self._refuse_if_closed()
        return min(-optimum(lp.maximise(point), "guaranteed minimum") for lp in self.flux_lps)

    def guaranteed_minima(self, points: FloatArray, families: Sequence[int]) -> FloatArray:
        """`guaranteed` at N points, shape (N, width), see `ParametricLP.maxima`."""
        self._refuse_if_closed()
        found = [
            lp.maxima(points, families, lambda solution: optimum(solution, "guaranteed minimum"))
            for lp in self.flux_lps
        ]
        least: FloatArray = -np.max(found, axis=0)
        return least

    def sink_flux(self, point: FloatArray) -> float:
        """Sum of the inserted fluxes at one vertex where growth plus a small multiple of them is largest."""
        self._refuse_if_closed()
        (lp,) = self.flux_lps
        solution = lp.maximise(point[:-1])
        if solution.status is Status.INFEASIBLE:
            return 0.0
        optimum(solution, "sink flux")
        return sum(abs(lp.flux(column)) for column in self._sinks)

    def _refuse_if_closed(self) -> None:
        # GLPK would crash the process.
        if self._closed:
            raise RedoxError("the evaluator is closed", hint="create another one")


def optimum(solution: Solution, name: str, dead: float | None = None) -> float:
    """The optimal value of a linear program, and `dead` where it is infeasible, if given.

    A RedoxError that says what it is the largest of where there is none.
    """
    if dead is not None and solution.status is Status.INFEASIBLE:
        return dead
    if not solution.optimal:
        raise RedoxError(
            f"the linear program for the largest {name} ended without an optimum: {solution.status.value}",
            hint="use a smaller model, such as the consistent core of this one"
            if solution.status is Status.TIME_LIMIT
            else "check the bounds of the model: a flux may be unbounded, or a coefficient badly scaled",
            settings=("model",),
        )
    return solution.objective
