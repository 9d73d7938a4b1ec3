"""The scoring rule of the experiments, at its thresholds."""

import pytest

from redox_balancer.evaluation.verdicts import Outcome, of_flux, of_losses, of_rescue, of_selectivity


@pytest.mark.parametrize(
    ("growths", "expected"),
    [
        ((1.0, 0.0, 0.1), Outcome.RESCUED),
        ((1.0, 0.0, 0.099), Outcome.NEITHER),
        ((1.0, 0.0, 0.011), Outcome.NEITHER),
        ((1.0, 0.0, 0.009), Outcome.NOT_RESCUED),
        ((1.0, 0.5, 0.4), Outcome.NOT_RESCUED),
        ((1.0, 0.89, 0.91), Outcome.RESCUED),
        ((1.0, 0.91, 1.0), Outcome.NO_DEFECT),
        ((0.0, 0.0, 0.0), Outcome.NO_DEFECT),
    ],
)
def test_a_rescue_wins_back_a_tenth_of_what_a_defect_took(
    growths: tuple[float, float, float], expected: Outcome
) -> None:
    assert of_rescue(*growths).outcome is expected


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (of_flux(0.1, 1e-5), Outcome.FLUX),
        (of_flux(0.1, 1e-7), Outcome.NEITHER),
        (of_flux(0.0, 1.0), Outcome.NO_GROWTH),
        (of_selectivity(1.0, 0.0), Outcome.SELECTIVE),
        (of_selectivity(1.0, 0.1), Outcome.NEITHER),
        (of_selectivity(0.0, 0.0), Outcome.NEITHER),
        (of_losses(1.0, 0.9, 0.5, 0.35), Outcome.WORSE),
        (of_losses(1.0, 0.9, 0.5, 0.41), Outcome.NEITHER),
        (of_losses(1.0, 0.9, 0.0, 0.0), Outcome.NO_GROWTH),
    ],
)
def test_other_comparisons_have_one_threshold(verdict: tuple[Outcome, float], expected: Outcome) -> None:
    assert verdict[0] is expected
