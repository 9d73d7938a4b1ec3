"""Driving forces and windows of ratios: published values, another solver, brute force, and the laws of the data."""

import itertools
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path

import cobra
import numpy as np
import pytest
import scipy.optimize

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.consistency import stoichiometric_matrix
from redox_balancer.cell.driving_force import DrivingForceLP, parsimonious_fluxes, ratios_of
from redox_balancer.cell.energies import FARADAY, GAS_CONSTANT, Thermodynamics, thermodynamics_of
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.models import to_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cell.records import packaged, packaged_rows
from redox_balancer.errors import RedoxError

PUBLISHED = tomllib.loads((Path(__file__).parents[2] / "data" / "published_driving_forces.toml").read_text())
CYTOSOL, MATRIX = Ratio("nad_c", "nadh_c"), Ratio("nad_m", "nadh_m")


@pytest.fixture(scope="module")
def known(core: Network) -> Thermodynamics:
    return thermodynamics_of(core)


@pytest.fixture(scope="module")
def state(core: Network) -> dict[str, float]:
    return parsimonious_fluxes(core)


def of_energies(
    network: Network, energies: Mapping[str, float], ranges: Mapping[str, tuple[float, float]], temperature_k: float
) -> Thermodynamics:
    """What is known of a network of which the energies of reactions and all ranges are given, kJ/mol and M."""
    thermal = GAS_CONSTANT * temperature_k
    lower, upper = thermal * np.log([ranges[metabolite] for metabolite in network.metabolites]).T
    found = np.array([energies.get(reaction, math.nan) for reaction in network.reactions])
    nothing = np.zeros((len(network.metabolites), 0))
    return Thermodynamics(network, stoichiometric_matrix(network), found, lower, upper, nothing, temperature_k)


def test_the_driving_force_of_glycolysis_is_the_published_one() -> None:
    data = PUBLISHED["ethanol"]
    columns = [Column(equation, parse_equation(equation)) for equation in data["constants"]]
    network = Network.of("glycolysis", columns)
    thermal = GAS_CONSTANT * data["temperature"]
    energies = {equation: -thermal * math.log(constant) for equation, constant in data["constants"].items()}
    fixed = {metabolite: (level, level) for metabolite, level in data["concentrations"].items()}
    ranges = dict.fromkeys(network.metabolites, tuple(data["range"])) | fixed
    known = of_energies(network, energies, ranges, data["temperature"])
    with DrivingForceLP(known, dict.fromkeys(energies, 1.0), ()) as lp:
        found = lp.largest()
    assert found.value == pytest.approx(data["driving_force"], abs=0.005)
    assert sum(found.limiting.values()) == pytest.approx(1.0)
    logarithms = np.log([found.concentrations[metabolite] for metabolite in network.metabolites])
    forces = -known.energies - thermal * known.reactants.T @ logarithms
    limiting = [network.column(reaction) for reaction in found.limiting]
    assert forces.min() == pytest.approx(found.value, abs=1e-6)
    assert forces[limiting] == pytest.approx(found.value, abs=1e-6)


@pytest.mark.parametrize("bounds", [(0.0, 0.0), (-5.0, 0.0)])
def test_a_cell_whose_growth_reaction_cannot_run_forward_has_no_state(
    core: Network, bounds: tuple[float, float]
) -> None:
    open_ = dict.fromkeys(core.boundary, (-1000.0, 1000.0))
    assert parsimonious_fluxes(core.with_bounds(open_ | {core.objective: bounds})) == {}


def test_the_driving_force_of_e_coli_is_the_published_one() -> None:
    data = PUBLISHED["e_coli_core"]
    network = to_network(cobra.io.load_model("textbook"))
    fixed = dict.fromkeys(("h_c", "h_e", "h2o_c", "h2o_e"), (1.0, 1.0))
    ranges = dict.fromkeys(network.metabolites, tuple(data["range"])) | fixed
    known = of_energies(network, data["energies"], ranges, data["temperature"])
    held = {Ratio(above, below): value for above, (below, value) in data["ratios"].items()}
    with DrivingForceLP(known, parsimonious_fluxes(network), held) as lp:
        for ratio, value in held.items():
            lp.fix(ratio, value)
        assert lp.largest().value == pytest.approx(data["driving_force"], abs=1e-4)
        lp.fix(Ratio("atp_c", "adp_c"), 1e7)
        with pytest.raises(RedoxError, match="equilibria that are held lie outside"):
            lp.largest()


def test_windows_are_those_of_brute_force() -> None:
    decade = GAS_CONSTANT * 310.0 * math.log(10.0)
    equations = {"R1": "a + nad --> b + nadh", "R2": "b --> c", "R3": "nadh + c --> nad + d"}
    network = Network.of("toy", [Column(name, parse_equation(text)) for name, text in equations.items()])
    energies = {"R1": decade, "R2": -decade, "R3": 0.0}
    known = of_energies(network, energies, dict.fromkeys(network.metabolites, (1e-6, 1e-2)), 310.0)
    S = stoichiometric_matrix(network).toarray()
    grid = np.array(list(itertools.product(range(-6, -1), repeat=len(network.metabolites))), dtype=np.float64)
    worst = -(known.energies / decade + grid @ S).max(axis=1)
    nad, nadh = (network.metabolite_index[name] for name in ("nad", "nadh"))
    with DrivingForceLP(known, dict.fromkeys(energies, 1.0), [Ratio("nad", "nadh")]) as lp:
        for margin in (0.0, 1.0):
            feasible = worst >= margin
            ratios = (grid[:, nad] - grid[:, nadh])[feasible]
            window = lp.window(Ratio("nad", "nadh"), margin * decade)
            assert math.log10(window.low) == pytest.approx(ratios.min(), abs=1e-9)
            assert math.log10(window.high) == pytest.approx(ratios.max(), abs=1e-9)
        assert "R1" in lp.window(Ratio("nad", "nadh"), decade).low_limits
        assert "R3" in lp.window(Ratio("nad", "nadh"), decade).high_limits


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_windows_of_the_core_are_those_of_another_solver(
    core: Network, known: Thermodynamics, state: dict[str, float], margin: float
) -> None:
    signs = np.array([np.sign(state[reaction]) * (abs(state[reaction]) > 1e-6) for reaction in core.reactions])
    active = (signs != 0) & np.isfinite(known.energies)
    forward = (known.reactants @ np.diag(signs))[:, active].T
    right = -(signs * known.energies)[active] - margin
    bounds = np.stack([known.lower, known.upper], axis=1)
    with DrivingForceLP(known, state, ratios_of(core)) as lp:
        for ratio in ratios_of(core):
            costs = np.zeros(len(core.metabolites))
            costs[core.metabolite_index[ratio.numerator]] = 1.0
            costs[core.metabolite_index[ratio.denominator]] = -1.0
            window = lp.window(ratio, margin)
            for sign, end in ((1.0, window.low), (-1.0, window.high)):
                other = scipy.optimize.linprog(sign * costs, forward, right, bounds=bounds, method="highs")
                assert math.log(end) == pytest.approx(sign * other.fun / known.thermal_energy, abs=1e-6)


def test_the_healthy_core_can_have_the_measured_ratios(
    core: Network, known: Thermodynamics, state: dict[str, float]
) -> None:
    """Free ratios of rat liver: about 700 in the cytosol, 8 in the matrix (Williamson et al. 1967)."""
    with DrivingForceLP(known, state, ratios_of(core)) as lp:
        cytosol, matrix = lp.window(CYTOSOL), lp.window(MATRIX)
        forces, windows = lp.spread(60, seed=0)
        assert lp.largest().value == pytest.approx(2.46, abs=0.01)
    assert cytosol.low < 700 < cytosol.high
    assert matrix.low < 8 < matrix.high
    assert next(name for name in matrix.high_limits if name in core.reaction_index) == "NADH2_u10mi"
    assert (forces > 0).all()
    low, high = windows[MATRIX].T
    assert 0.6 < np.mean((low < 8) & (high > 8)) < 1.0


def test_what_has_no_energy_is_named_and_sets_no_limit(known: Thermodynamics, state: dict[str, float]) -> None:
    unknown = known.reasons
    assert set(unknown) == {"NAt", "NAt3_1", "O2t", "O2tm", "CO2t", "CO2tm", "H2Ot", "H2Otm"}
    assert math.isnan(known.energies[known.network.column("BIOMASS_proxy")])
    with DrivingForceLP(known, state, ()) as lp:
        running = [known.network.reactions[column] for column, _ in lp.reactions]
    assert not {*unknown, *known.network.boundary} & set(running)
    with DrivingForceLP(known, dict.fromkeys(unknown, 1.0), ()) as lp, pytest.raises(RedoxError, match="no reaction"):
        lp.largest()


def test_energies_are_the_published_ones_and_obey_the_proton_motive_force(
    core: Network, known: Thermodynamics
) -> None:
    # Component contribution at 37 C; measured at 38 C are 23.6, 27.1, 33.5 and 1.6 kJ/mol.
    for reaction, expected in (("LDH_L", 25.05), ("MDHm", 27.84), ("GLUDym", 34.9), ("GAPD", 3.4)):
        assert known.energies[core.column(reaction)] == pytest.approx(expected, abs=0.1)
    force = FARADAY * 0.14 + GAS_CONSTANT * 310.15 * math.log(10.0) * 0.9
    protons = [core.metabolite_index[name] for name in ("h_i", "h_m")]
    leak = core.column("Htmi")
    assert known.energies[leak] + known.upper[protons] @ [-1.0, 1.0] == pytest.approx(-force, abs=1e-6)
    # Electrons come from the cytochrome c of the intermembrane space, so complex IV moves two charges with each.
    assert known.energies[core.column("CYOOm2i")] == pytest.approx(
        2 * -153.972 - 16.400 + 4 * FARADAY * 0.254 + 8 * FARADAY * 0.14, abs=0.1
    )


def test_mechanisms_balance_and_move_no_more_than_protons_and_sodium(core: Network, known: Thermodynamics) -> None:
    written = {
        name: equation for name, equation, _ in packaged_rows("thermodynamics/mechanisms.tsv") if "<=>" in equation
    }
    equations = {name: equation for name, equation in written.items() if core.find_reaction(name)}
    columns = [Column(f"as {name}", parse_equation(equation)) for name, equation in equations.items()]
    assert not {column.id for column in columns} & imbalanced_reactions(core.with_columns(columns)).keys()
    assert all(np.isfinite(known.energies[core.column(name)]) for name in equations)
    doubled = Column("PIt2m", {"pi_c": -2.0, "h_c": -2.0, "pi_m": 2.0, "h_m": 2.0})
    other = core.subset(set(core.reactions) - {"PIt2m"}).with_columns([doubled])
    assert "PIt2m" in thermodynamics_of(other).reasons


def test_drawn_energies_keep_the_laws_of_thermodynamics(core: Network, known: Thermodynamics) -> None:
    drawn = known.drawn(np.random.default_rng(1)) - known.energies
    assert np.nanmax(np.abs(drawn)) > 1.0
    # The same reaction in two compartments, and a metabolite that only moves.
    for one, other in (("MDH", "MDHm"), ("GHMT2r", "GHMT2rm"), ("ASPTA", "ASPTAm")):
        assert drawn[core.column(one)] == pytest.approx(drawn[core.column(other)])
    assert drawn[core.column("GLNtm")] == pytest.approx(0.0, abs=1e-12)
    many = np.array([known.drawn(np.random.default_rng(seed)) for seed in range(400)]).std(axis=0)
    # Published: 0.47, 3.2 and 1.2 kJ/mol; the potential of the inner membrane is known to 11 mV.
    for reaction, published in (("LDH_L", 0.47), ("ICDHxm", 3.2), ("MTHFD", 1.2), ("Htmi", 0.011 * FARADAY)):
        assert many[core.column(reaction)] == pytest.approx(published, rel=0.15)


def test_an_infeasible_margin_says_what_is_possible(known: Thermodynamics, state: dict[str, float]) -> None:
    with DrivingForceLP(known, state, [CYTOSOL]) as lp:
        with pytest.raises(
            RedoxError, match="no concentrations give every reaction a driving force of 5 kJ"
        ) as error:
            lp.window(CYTOSOL, 5.0)
        assert "at most 2.46 kJ/mol" in error.value.hint
        assert lp.window(CYTOSOL).width > 1  # and it goes on


def test_all_conflicts_of_an_infeasible_state_are_named() -> None:
    equations = {"R1": "a --> b", "R2": "b --> c", "R3": "d --> e", "R4": "e --> f"}
    network = Network.of("toy", [Column(name, parse_equation(text)) for name, text in equations.items()])
    ranges = dict.fromkeys(network.metabolites, (1e-3, 1e-3))
    energies = {"R1": 5.0, "R2": -9.0, "R3": -1.0, "R4": 2.0}
    with DrivingForceLP(of_energies(network, energies, ranges, 310.0), dict.fromkeys(energies, 1.0), ()) as lp:
        assert lp.conflicts() == pytest.approx({"R1": 5.0, "R4": 2.0})
        assert lp.largest().value == pytest.approx(-5.0)  # and nothing stays left aside


def test_concentrations_can_be_given_and_are_checked(known: Thermodynamics, state: dict[str, float]) -> None:
    at = {"lac__L_c": (2e-2, 2e-2), "pyr_c": (1e-4, 1e-4)}
    with DrivingForceLP(known.with_concentrations(at), state | {"LDH_L": -1.0}, [CYTOSOL]) as lp:
        ratio = lp.window(CYTOSOL)
    # Where lactate is made, NAD+/NADH is below K pyruvate/lactate.
    row = known.network.metabolite_index["h_c"]
    constant = math.exp((known.energies[known.network.column("LDH_L")] + known.upper[row]) / known.thermal_energy)
    assert ratio.high == pytest.approx(constant * 1e-4 / 2e-2, rel=0.01)
    for name, low, high, message in (
        ("lac__L_e", 20.0, 20.0, "no range between 1e-12 and 10 M"),
        ("lac__L_e", 2e-3, 1e-3, "0.002 to 0.001 M is no range"),
        ("lac__L_x", 1e-3, 1e-3, "has no metabolite 'lac__L_x'"),
    ):
        with pytest.raises(RedoxError, match=message):
            known.with_concentrations({name: (low, high)})


def test_every_figure_has_a_source() -> None:
    for name, width, keys in (
        ("formation_energies", 5, 1),
        ("concentrations", 5, 2),
        ("mechanisms", 3, 1),
        ("directions", 3, 1),
    ):
        rows = packaged_rows(f"thermodynamics/{name}.tsv")
        assert all(len(row) == width and row[-1] for row in rows)
        assert len({tuple(row[:keys]) for row in rows}) == len(rows) > 7
    places = tomllib.loads(packaged("thermodynamics/compartments.toml").read_text())
    assert all(place["source"] for place in places["compartment"].values())


def test_ledgers_and_enzymes_as_metabolites_do_not_count(core: Network, known: Thermodynamics) -> None:
    """As GECKO and the limits of a medium add them to reactions."""
    columns = [
        Column(f"{name} again", core.stoichiometry_of(name) | {"prot_P00505": -1e-5, "oxygen_ledger": -1.0})
        for name in ("MDH", "NADH2_u10mi")
    ]
    other = thermodynamics_of(core.with_columns(columns, new_metabolites=["prot_P00505", "oxygen_ledger"]))
    for name in ("MDH", "NADH2_u10mi"):
        assert other.energies[other.network.column(f"{name} again")] == known.energies[core.column(name)]
