"""The packaged cell lines on curated Recon3D: measured rates agree with it at measured growth."""

import pytest

from redox_balancer.cell.cell_lines import load_cell_lines
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.measured_rates import RELEASED, check_line, nearest_division, with_exact_rates
from redox_balancer.cell.media import apply_medium
from redox_balancer.cell.models import LoadedModel
from redox_balancer.cell.network import Network


@pytest.fixture(scope="module")
def cultured(recon3d: LoadedModel) -> Network:
    return apply_medium(recon3d.curated("BIOMASS_reaction").network, "culture")


@pytest.mark.parametrize("name", load_cell_lines())
def test_measured_release_is_within_its_range_at_measured_growth(cultured: Network, name: str) -> None:
    line = load_cell_lines()[name]
    assert line.missing_from(cultured) == []
    found = check_line(cultured, line)
    assert [one.exchange for one in found.ranges] == list(RELEASED)
    for one in found.ranges:
        assert one.inside
        assert one.largest < 4.0  # what glucose and glutamine can become, not an open bound
    # Of some amino acids that cells cannot make less is taken up than the model's biomass holds.
    assert set(found.exceeded) <= {f"EX_{acid}__L_e" for acid in ("phe", "leu", "lys", "met")}
    assert all(1.1 < factor < 1.8 for factor in found.exceeded.values())


def test_growth_on_measured_uptakes_is_a_division_also_where_rates_are_forced(cultured: Network) -> None:
    line = load_cell_lines()["NCI-H226"]
    for cell in (line.condition(cultured).apply(cultured), with_exact_rates(cultured, line)):
        with FluxLP(cell) as lp:
            growth = lp.maximise().objective
        assert growth == pytest.approx(1.1 * 0.002257 / 0.259466, rel=1e-3)
    division = nearest_division(line.condition(cultured).apply(cultured), growth)
    assert division is not None
    assert division.exchange == "EX_phe__L_e"
