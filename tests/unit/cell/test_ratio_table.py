"""Tables of shares at given ratios against the linear programs that they stand for."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from redox_balancer.cell.consistency import stoichiometric_matrix
from redox_balancer.cell.driving_force import ratios_of
from redox_balancer.cell.energies import GAS_CONSTANT, Thermodynamics
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Column, FloatArray, Network
from redox_balancer.cell.ratio_capacity import LEAST_GROWTH, GrowthAtRatio, coupled_columns, span_of
from redox_balancer.cell.ratio_cuts import ratio_table
from redox_balancer.cell.ratio_table import Ratio, RatioTable

CYTOSOL, MATRIX = Ratio("nad_c", "nadh_c"), Ratio("nad_m", "nadh_m")
THERMAL = GAS_CONSTANT * 310.0


def random_cell(random: Random) -> Thermodynamics:
    """Chains with NAD of two compartments, reversible steps among them, and energies that leave some ratios."""
    pools = [{f"nad_{letter}": -1.0, f"nadh_{letter}": 1.0} for letter in "cm"]
    columns = [Column("EX_a0", {"a0_c": 1.0}, 0.0, 2.0)]
    for number in range(4):
        pool = random.choice(pools)
        step = {f"a{number}_c": -1.0, f"a{number + 1}_c": 1.0, **pool}
        columns.append(Column(f"STEP{number}", step, random.choice((0.0, -3.0)), random.uniform(2.0, 5.0)))
    for letter, pool in zip("cm", pools, strict=True):
        back = {name: -amount for name, amount in pool.items()}
        columns.append(Column(f"BACK_{letter}", back | {"o_c": -1.0}, 0.0, random.uniform(3.0, 9.0)))
    columns.append(Column("SHUTTLE", {**pools[0], **{n: -a for n, a in pools[1].items()}}, -5.0, 5.0))
    columns.append(Column("EX_o", {"o_c": 1.0}, 0.0, 50.0))
    network = Network.of("random", [*columns, Column("GROWTH", {"a4_c": -1.0}, 0.0, 50.0)], "GROWTH")
    inside = {name for name in network.reactions if not name.startswith(("EX_", "GROWTH"))}
    energies = np.array([random.uniform(-12.0, 0.0) if name in inside else np.nan for name in network.reactions])
    low = [random.uniform(-6.0, -4.0) for _ in network.metabolites]
    lower, upper = THERMAL * np.log(10.0) * np.array([low, [end + random.uniform(2.0, 4.0) for end in low]])
    S = stoichiometric_matrix(network)
    return Thermodynamics(network, S, energies, lower, upper, np.zeros((len(low), 0)), 310.0)


def growth_by(table: RatioTable, network: Network) -> Callable[[FloatArray], float]:
    """Largest growth with the capacities of a table, as a function of ratios."""

    def growth(ratios: FloatArray) -> float:
        shares = table.shares(ratios)
        ends = {name: network.bounds_of(name) for name in table.reactions}
        zipped = zip(ends.items(), *shares.tolist(), strict=True)
        bounds = {name: (low * back if low < 0 else low, high * ahead) for (name, (low, high)), back, ahead in zipped}
        with FluxLP(network.with_bounds(bounds)) as lp:
            found = lp.maximise()
        return found.objective if found.optimal and shares.any() else 0.0

    return growth


@pytest.mark.parametrize("ratios", [(CYTOSOL,), (MATRIX,), (CYTOSOL, MATRIX)])
def test_growth_by_a_table_is_that_of_the_programs(ratios: tuple[Ratio, ...]) -> None:
    generator, grown = np.random.default_rng(0), 0
    for seed in range(12):
        cell = random_cell(Random(seed))  # noqa: S311
        with FluxLP(cell.network) as lp:
            largest = lp.maximise().objective
        table = ratio_table(cell, ratios, LEAST_GROWTH * largest, coupled_columns(cell))
        by_table = growth_by(table, cell.network)
        with GrowthAtRatio(cell, largest) as direct:
            assert set(ratios) <= set(ratios_of(cell.network))
            for _ in range(60):
                values = 10.0 ** generator.uniform(*np.transpose([span_of(cell, ratio) for ratio in ratios]))
                wanted = direct.at(dict(zip(ratios, values.tolist(), strict=True)))
                found = by_table(values)
                assert (found if found >= LEAST_GROWTH * largest else 0.0) == pytest.approx(wanted, abs=1e-6)
                grown += 0.0 < wanted < 0.999 * largest
    assert grown > 20
