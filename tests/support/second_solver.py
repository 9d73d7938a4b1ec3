"""Growth and capacity of a construct by HiGHS, from the definition: independent of the evaluator and its programs."""

import highspy
import numpy as np

from redox_balancer.cell.conditions import Condition, Side, limited
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Network
from redox_balancer.design.construct import Construct
from redox_balancer.design.placement import H2O2_LEFT
from redox_balancer.design.space import DesignSpace


def random_construct(
    space: DesignSpace, generator: np.random.Generator, *, most: int = 4, levels: int | None = None
) -> Construct:
    """1 to `most` placements at any of the lowest `levels` (all if not given), without regard to budgets."""
    construct = Construct.empty(len(space.placements))
    count = int(generator.integers(1, most + 1))
    for placement in generator.choice(len(space.placements), count, replace=False):
        construct = construct.place(int(placement), int(generator.integers(levels or len(space.levels))))
    return construct


class SecondSolver:
    """The two linear programs of a construct's value, in HiGHS."""

    def __init__(self, space: DesignSpace) -> None:
        self.space = space
        network = space.network
        nadh = np.zeros(len(network.reactions))
        for placement in space.placements:
            if placement.foreign:
                nadh[network.column(placement.reaction)] = -sum(
                    amount
                    for metabolite, amount in placement.stoichiometry.items()
                    if network.is_species(metabolite, "nadh", "nadph")
                )
        if H2O2_LEFT in network.reaction_index:
            nadh[network.column(H2O2_LEFT)] = -space.settings.h2o2_price
        biomass = np.zeros(len(network.reactions))
        self._biomass = network.column(network.objective)
        biomass[self._biomass] = 1.0
        self._growth, self._capacity = _model(network, biomass), _model(network, nadh)
        self._columns = np.arange(len(network.reactions), dtype=np.int32)
        self.healthy = self._optimum(self._growth, *self._bounds(Construct.empty(len(space.placements)), None))

    def outcome(self, construct: Construct, condition: Condition) -> tuple[float, float]:
        """Growth with the cost of expression, 1/h, and capacity, mmol/gDW/h."""
        settings = self.space.settings
        nothing = Construct.empty(len(self.space.placements))
        alone = self._optimum(self._growth, *self._bounds(nothing, condition))
        lines = [line for line in self.space.references if line.id == condition.reference]
        healthy = self._optimum(self._growth, *self._bounds(nothing, lines[0])) if lines else self.healthy
        floor = max(settings.growth_fraction * alone, settings.healthy_floor * healthy)
        lower, upper = self._bounds(construct, condition)
        keep = 1.0 - sum(self.space.levels[level] for _, level in construct) / settings.phi_max
        growth = keep * self._optimum(self._growth, lower, upper)
        if growth < floor * (1 - 1e-9):
            return growth, 0.0
        lower[self._biomass] = floor / keep * (1 - 1e-9)
        return growth, max(0.0, self._optimum(self._capacity, lower, upper))

    def _bounds(self, construct: Construct, condition: Condition | None) -> tuple[np.ndarray, np.ndarray]:
        space, network = self.space, self.space.network
        lower, upper = network.lower.copy(), network.upper.copy()

        def limit(reaction: str, side: Side, value: float) -> None:
            column = network.column(reaction)
            lower[column], upper[column] = limited(float(lower[column]), float(upper[column]), side, value)

        native = dict(space.capacities)
        for change in sorted(condition.changes if condition else (), key=lambda change: not change.opens):
            if change.opens:
                (lower if change.side.limits_lower else upper)[network.column(change.reaction)] = (
                    -change.value if change.side.limits_lower else change.value
                )
            elif change.side is Side.FLUX:
                native[change.reaction] = min(native.get(change.reaction, OPEN), change.value)
            else:
                limit(change.reaction, change.side, change.value)
        for position, level in construct:
            placement = space.placements[position]
            if placement.foreign:
                column = network.column(placement.reaction)
                upper[column] = placement.caps[level]
                lower[column] = -upper[column] if placement.site.reversible else 0.0
            elif placement.reaction in native:
                native[placement.reaction] += placement.caps[level]
        for reaction, value in native.items():
            limit(reaction, Side.FLUX, value)
        return lower, upper

    def _optimum(self, model: highspy.Highs, lower: np.ndarray, upper: np.ndarray) -> float:
        model.changeColsBounds(len(lower), self._columns, lower, upper)
        model.run()
        status = model.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            return 0.0
        assert status == highspy.HighsModelStatus.kOptimal, status
        optimum = model.getInfo().objective_function_value
        return optimum if optimum > 1e-9 else 0.0


def _model(network: Network, weights: np.ndarray) -> highspy.Highs:
    problem = highspy.HighsLp()
    problem.num_col_, problem.num_row_ = len(network.reactions), len(network.metabolites)
    problem.sense_ = highspy.ObjSense.kMaximize
    problem.col_cost_ = weights
    problem.col_lower_, problem.col_upper_ = network.lower, network.upper
    problem.row_lower_ = problem.row_upper_ = np.zeros(len(network.metabolites))
    problem.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    problem.a_matrix_.start_ = network.indptr
    problem.a_matrix_.index_ = network.indices
    problem.a_matrix_.value_ = network.data
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)  # noqa: FBT003 - the signature of HiGHS
    model.setOptionValue("primal_feasibility_tolerance", 1e-9)
    model.setOptionValue("dual_feasibility_tolerance", 1e-9)
    model.passModel(problem)
    return model
