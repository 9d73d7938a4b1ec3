"""Energies of any model: which reactions have one, why the others have none, and the covariance of the genome."""

import math

import numpy as np
import pytest

from redox_balancer.cell.energies import FARADAY, thermodynamics_of, with_known_directions
from redox_balancer.cell.energy_data import energy_data
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.models import LoadedModel, to_network
from redox_balancer.cell.network import Column, Network

EQUATIONS = {
    "SAME": "coa_c --> coa_x",
    "ANION": "coa_c --> coa_m",
    "CATION": "lys__L_e --> lys__L_c",
    "SYMPORT": "h_e + pyr_e --> h_c + pyr_c",
    "UNBALANCED": "amp_c + pi_c --> adp_c",
    "LOOP": "amet_c --> met__L_c",
    "GAS": "o2_e --> o2_c",
    "STRANGE": "amp_c --> unheard_of_c",
    "NOWHERE": "amp_c --> amp_q",
    "LOST_CHARGE": "pyr_e + h_e --> pyr_c",
    "AHC": "ahcys_c + h2o_c --> adn_c + hcys__L_c",
    "AHCm": "ahcys_m + h2o_m --> adn_m + hcys__L_m",
}
CHARGES = {"coa": -4, "lys__L": 1, "h": 1, "pyr": -1, "o2": 0}


@pytest.fixture(scope="module")
def toy() -> Network:
    network = Network.of("toy", [Column(name, parse_equation(text), -1.0, 1.0) for name, text in EQUATIONS.items()])
    charges = {m: CHARGES[s] for m in network.metabolites if (s := m.rpartition("_")[0]) in CHARGES}
    return Network(**{**vars(network), "charges": charges})


def test_each_reaction_has_an_energy_or_a_reason(toy: Network) -> None:
    known = thermodynamics_of(toy)
    assert known.reasons == {
        "ANION": "counter-ions are not known",
        "UNBALANCED": "does not balance",
        "LOOP": "does not balance",
        "GAS": "diffusion",
        "STRANGE": "a metabolite without energy",
        "NOWHERE": "a metabolite without energy",
        "LOST_CHARGE": "charges do not balance",
    }
    energies = dict(zip(toy.reactions, known.energies.tolist(), strict=True))
    assert {name for name, energy in energies.items() if math.isnan(energy)} == known.reasons.keys()
    assert energies["SAME"] == pytest.approx(0.0, abs=1e-9)
    assert energies["CATION"] == pytest.approx(-0.06 * FARADAY)
    # A proton with an anion is not driven by the potential.
    assert energies["SYMPORT"] == pytest.approx(0.0, abs=1e-9)
    assert energies["AHC"] == energies["AHCm"]


def test_a_mechanism_can_confirm_an_equation() -> None:
    exchange = Column("ATPtm", parse_equation("adp_c + atp_m --> adp_m + atp_c"))
    network = Network.of("carrier", [exchange])
    charges = {"atp_c": -4, "atp_m": -4, "adp_c": -3, "adp_m": -3}
    known = thermodynamics_of(Network(**{**vars(network), "charges": charges}))
    assert known.energies.tolist() == pytest.approx([-0.14 * FARADAY])


def test_both_covariances_are_of_the_same_reactions(core: Network) -> None:
    """The genome's is cut off where it says little, and covers the metabolites of the core."""
    known, data = thermodynamics_of(core), energy_data()
    columns = [c for c, r in enumerate(core.reactions) if r not in known.reasons and np.isfinite(known.energies[c])]
    deviations = []
    for table in (data.covariance, data.roots_for(data.energies)):
        width = len(next(iter(table.values())))
        rows = [table.get(metabolite.rpartition("_")[0], np.zeros(width)) for metabolite in core.metabolites]
        deviations.append(np.linalg.norm((known.reactants.T @ np.array(rows))[columns], axis=1))
    assert np.abs(deviations[0] - deviations[1]).max() < 0.15
    assert deviations[0].max() > 5.0


def test_the_core_keeps_its_own_covariance(core: Network, toy: Network) -> None:
    widths = len(next(iter(energy_data().covariance.values())))
    assert thermodynamics_of(core).deviations.shape[1] == widths + 2  # and cytochrome c, and the potential
    assert thermodynamics_of(toy).deviations.shape[1] > 2 * widths
    # A reaction of the genome with a published uncertainty: adenosylhomocysteinase, by its own measurements.
    drawn = np.array([thermodynamics_of(toy).drawn(np.random.default_rng(seed)) for seed in range(200)])
    assert 0.2 < drawn[:, toy.column("AHC")].std() < 5.0
    assert drawn[:, toy.column("AHC")] == pytest.approx(drawn[:, toy.column("AHCm")])


def test_coverage_of_recon3d(recon3d: LoadedModel) -> None:
    network = to_network(recon3d.model)
    known = thermodynamics_of(network)
    assert np.isfinite(known.energies).sum() > 2700
    pairs = [{f"{a}_{c}", f"{b}_{c}"} for a, b in (("nad", "nadh"), ("nadp", "nadph")) for c in "cmxre"]
    dependent = [r for r in network.reactions if any(pair <= network.stoichiometry_of(r).keys() for pair in pairs)]
    assert sum(r not in known.reasons for r in dependent) > 650
    # Energies and ranges agree with the directions of one-way reactions, but for a few faults of the model.
    made, used = known.reactants.maximum(0.0), known.reactants.minimum(0.0)
    least = known.energies + made.T @ known.lower + used.T @ known.upper
    one_way = np.isfinite(known.energies) & (network.lower >= 0.0) & (network.upper > 0.0)
    assert one_way.sum() > 1000
    assert np.mean(least[one_way] > 0.01) < 0.01


def test_known_directions_are_taken_from_a_network_and_leave_the_core_alone(core: Network) -> None:
    both = Network.of("toy", [Column(name, {"a_c": -1.0}, -2.0, 3.0) for name in ("DCMPDA", "BTNt4i", "OTHER")])
    found = with_known_directions(both)
    assert [found.bounds_of(name) for name in found.reactions] == [(0.0, 3.0), (0.0, 0.0), (-2.0, 3.0)]
    of_core = with_known_directions(core)
    assert (of_core.lower == core.lower).all()
    assert (of_core.upper == core.upper).all()
    assert set(energy_data().directions.values()) == {"forward", "none"}
