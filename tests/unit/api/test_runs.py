"""Training from Python."""

from pathlib import Path

import pytest

import redox_balancer as rb

CONDITION = "complex_iii_closed"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> rb.TrainedRun:
    """A run on a model that was changed in memory."""
    model = rb.load_model()
    model.reactions.EX_glc__D_e.lower_bound = -0.5
    task = rb.Task(model=model, conditions=[CONDITION])
    folder = tmp_path_factory.mktemp("runs") / "first"
    return rb.train(task, folder, timesteps=2_000, num_actors=0, batch_size=256)


def test_a_run_keeps_the_model_it_was_trained_on(run: rb.TrainedRun) -> None:
    assert run.task.model == run.folder / "model.json.gz"
    assert rb.load_model(run.task.model).reactions.EX_glc__D_e.lower_bound == -0.5
    assert run.environments().fingerprint["conditions"] == [CONDITION]
    assert run.to_frame()["steps"].max() >= 2_000


def test_a_run_resumes_and_proposes_a_construct(run: rb.TrainedRun) -> None:
    again = rb.train(run.task, run.folder, resume="auto", timesteps=3_000, num_actors=0, batch_size=256)
    assert again.to_frame()["steps"].max() >= 3_000
    design = rb.design(again, CONDITION, evaluations=50)
    evaluation = rb.evaluate(again.task, design.construct, CONDITION)
    assert design.value == pytest.approx(evaluation.value)
    assert evaluation.within_budget


def test_a_run_of_another_model_is_refused_and_left_alone(run: rb.TrainedRun) -> None:
    kept = (run.folder / "model.json.gz").read_bytes()
    other = rb.load_model()
    other.reactions.EX_glc__D_e.lower_bound = -0.4
    task = rb.Task(model=other, conditions=[CONDITION])
    with pytest.raises(rb.RedoxError, match="a run of another model"):
        rb.train(task, run.folder, resume="auto", timesteps=4_000, num_actors=0)
    assert (run.folder / "model.json.gz").read_bytes() == kept


def test_settings_are_named(tmp_path: Path) -> None:
    for settings, said, hint in (
        ({"timestep": 10}, "timestep", "timesteps"),
        ({"gamma": 1.5}, "gamma", ""),
        ({"timesteps": "many"}, "timesteps = many", "Environment steps"),
        ({"num_actors": 2.5}, "num_actors = 2.5", "Actor processes"),
    ):
        with pytest.raises(rb.RedoxError, match=said) as refused:
            rb.train(rb.Task(), tmp_path / "run", **settings)  # type: ignore[arg-type]
        assert hint in refused.value.hint
    assert not (tmp_path / "run").exists()
