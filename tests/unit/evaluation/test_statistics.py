import numpy as np
import pytest

from redox_balancer.evaluation.statistics import Interval, bootstrap_interval, interquartile_mean


def test_the_interquartile_mean_is_the_mean_of_the_middle_half() -> None:
    scores = np.asarray([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 700.0]])
    assert interquartile_mean(scores) == pytest.approx(np.mean([2.0, 3.0, 4.0, 5.0]))


def test_scores_that_do_not_vary_have_an_interval_of_no_width() -> None:
    assert bootstrap_interval(np.full((5, 20), 0.5)) == Interval(0.5, 0.5, 0.5)
    assert bootstrap_interval(np.asarray([[0.2]])) == Interval(0.2, 0.2, 0.2)


def test_conditions_alone_give_a_method_without_seeds_its_interval() -> None:
    scores = np.linspace(0.0, 1.0, 41)[None, :]
    once, twice = bootstrap_interval(scores), bootstrap_interval(np.repeat(scores, 2, axis=0))
    assert once == twice
    assert once.middle == pytest.approx(0.5)
    assert once.low < once.middle < once.high


def test_intervals_cover_the_truth_about_as_often_as_they_promise() -> None:
    """Scores with an effect of the seed, of the condition and of both, drawn again and again."""
    generator = np.random.default_rng(11)
    trials, inside = 200, 0
    for _ in range(trials):
        seed_effect = generator.normal(0.0, 1.0, (8, 1))
        condition_effect = generator.normal(0.0, 1.0, (1, 20))
        scores = seed_effect + condition_effect + generator.normal(0.0, 0.5, (8, 20))
        found = bootstrap_interval(scores, resamples=300)
        inside += found.low <= 0.0 <= found.high
    # Eight seeds are few, so a little less than 95 % is what a bootstrap gives.
    assert 0.85 * trials < inside <= trials


def test_seeds_alone_would_promise_too_much() -> None:
    """What the conditions' draw adds: the seeds of this method agree, its conditions do not."""
    scores = np.repeat(np.linspace(0.0, 1.0, 20)[None, :], 5, axis=0)
    found = bootstrap_interval(scores)
    assert found.high - found.low > 0.2


def test_intervals_repeat_themselves() -> None:
    scores = np.random.default_rng(0).random((5, 20))
    assert bootstrap_interval(scores) == bootstrap_interval(scores)
    assert bootstrap_interval(scores, seed=1) != bootstrap_interval(scores)
