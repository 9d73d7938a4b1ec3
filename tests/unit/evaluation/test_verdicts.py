"""The scoring rule of the experiments, at its thresholds."""

import pytest

from redox_balancer.evaluation.verdicts import Finding, of_flux, of_losses, of_rescue, of_selectivity


@pytest.mark.parametrize(
    ("growths", "expected"),
    [
        ((1.0, 0.0, 0.1), Finding.RESCUED),
        ((1.0, 0.0, 0.099), Finding.NEITHER),
        ((1.0, 0.0, 0.011), Finding.NEITHER),
        ((1.0, 0.0, 0.009), Finding.NOT_RESCUED),
        ((1.0, 0.5, 0.4), Finding.NOT_RESCUED),
        ((1.0, 0.89, 0.91), Finding.RESCUED),
        ((1.0, 0.91, 1.0), Finding.NO_DEFECT),
        ((0.0, 0.0, 0.0), Finding.NO_DEFECT),
    ],
)
def test_a_rescue_wins_back_a_tenth_of_what_a_defect_took(
    growths: tuple[float, float, float], expected: Finding
) -> None:
    assert of_rescue(*growths).finding is expected


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (of_flux(0.1, 1e-5), Finding.FLUX),
        (of_flux(0.1, 1e-7), Finding.NEITHER),
        (of_flux(0.0, 1.0), Finding.NO_GROWTH),
        (of_selectivity(1.0, 0.0), Finding.SELECTIVE),
        (of_selectivity(1.0, 0.1), Finding.NEITHER),
        (of_selectivity(0.0, 0.0), Finding.NEITHER),
        (of_losses(1.0, 0.9, 0.5, 0.35), Finding.WORSE),
        (of_losses(1.0, 0.9, 0.5, 0.41), Finding.NEITHER),
        (of_losses(1.0, 0.9, 0.0, 0.0), Finding.NO_GROWTH),
    ],
)
def test_other_comparisons_have_one_threshold(verdict: tuple[Finding, float], expected: Finding) -> None:
    assert verdict[0] is expected
