"""Runs that version 0.1 trained, used by design, report and evaluate: every value equals its own."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from commands import redox_json, redox_process
from old_runs import DATA, EXPECTED, unpack_old_runs
from redox_balancer.impala.config import OLD_SETTINGS

NEW_SETTINGS = {"learner_cells": 1}  # whose default is what held before
CONDITION = ("--condition", "complex_iii_closed")


@pytest.fixture(scope="module")
def old_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `known`, `untold`, `robust` and `guaranteed`."""
    return unpack_old_runs(tmp_path_factory.mktemp("version_0_1"))


@pytest.mark.parametrize("name", ["known", "robust", "guaranteed"])
def test_designs(old_runs: Path, name: str) -> None:
    """Its construct has the same values; the search from the policy finds one that is worth no less."""
    expected = EXPECTED["design"][name]
    named = ",".join(f"{placement}={fraction}" for placement, fraction in expected["construct"])
    design = redox_json("design", old_runs / name, *CONDITION, "--construct", named)
    for key in ("growth", "capacity", "guaranteed", "plain_value", "paid", "rescue"):
        assert design[key] == pytest.approx(expected[key.removeprefix("plain_")], abs=1e-6), key
    assert design["value"] == design["paid"]
    found = redox_json("design", old_runs / name, *CONDITION, "--evaluations", 200, "--quick")
    assert found["paid"] >= expected["paid"] - 1e-6
    assert found["search"]["policy"]["value"] <= found["paid"] + 1e-9


def test_the_design_of_a_hidden_condition_is_the_most_probable_one(old_runs: Path) -> None:
    """Version 0.1 chose among 100 samples by their value, which a policy of a hidden condition does not observe.

    It gave this answer without samples.
    """
    design = redox_json("design", old_runs / "untold", *CONDITION)
    placed = [[row["placement"], row["proteome_fraction"]] for row in design["construct"]]
    assert placed == [["TPNOX_c", 1e-3]] != EXPECTED["design"]["untold"]["construct"]
    assert design["value"] == design["paid"] == 0.0


def test_report(old_runs: Path, tmp_path: Path) -> None:
    page, expected = tmp_path / "report.html", EXPECTED["report"]
    summary = redox_json("report", old_runs / "known", "--no-designs", "--exhaustive", "--output", page)
    for key in ("policy_mean", "random_mean", "best_mean"):
        assert summary[key] == pytest.approx(expected[key], abs=1e-6), key
    assert [row["condition"] for row in summary["conditions"]] == list(expected["conditions"])
    for row in summary["conditions"]:
        for key, value in expected["conditions"][row["condition"]].items():
            assert row[key] == pytest.approx(value, abs=1e-6), (row["condition"], key)
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["known", "guaranteed"])
def test_evaluation(old_runs: Path, name: str, tmp_path: Path) -> None:
    """The policy and the best fixed construct are worth what they were, also where that is less than nothing."""
    expected = EXPECTED["evaluate"][name]
    options = (*expected["options"], "--output", tmp_path, "--seconds", 0.3, "--longest", 0.3, "--jobs", 1)
    summary = redox_json("evaluate", old_runs / name, *options)
    shares = {row["method"]: row["share"] for row in summary["sets"]["training"]["methods"]}
    if name == "guaranteed":  # without a proven optimum, version 0.1 took shares of the best of 200 constructs
        assert shares["policy"] == pytest.approx(expected["shares"]["policy"], rel=0.1)
        assert shares["policy"] < 0
    else:
        for method in ("policy", "best fixed construct"):
            assert shares[method] == pytest.approx(expected["shares"][method], abs=1e-6), method


def test_a_run_resumes_to_the_same_state(old_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Libraries choose their kernels by the processor, and kernels differ in the last digit: these are for AVX2.
    for name, kernels in (("OPENBLAS_CORETYPE", "Haswell"), ("ATEN_CPU_CAPABILITY", "avx2")):
        monkeypatch.setenv(name, os.environ.get(name, kernels))
    run, expected = shutil.copytree(old_runs / "known", tmp_path / "known", symlinks=True), EXPECTED["resumed"]
    before = json.loads((run / "config.json").read_text())
    answer = redox_json("train", *expected["options"], "--checkpoint-dir", run, "--resume", "auto", run=redox_process)
    newest = Path(answer["checkpoint"])
    assert (answer["steps"], newest.name) == (3072, "step_000003072")
    found = load_file(newest / "arrays.safetensors")
    for name, array in load_file(
        DATA / "resumed.safetensors"
    ).items():  # but for the order of sums, in the last digit
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-6 * np.abs(array).max(), err_msg=name)
    record = json.loads((run / "config.json").read_text())
    first, second = record["history"]
    assert first["settings"] == before["settings"]
    assert first["versions"]["redox_balancer"] == before["versions"]["redox_balancer"]
    assert (second["step"], second["settings"]) == (2048, {"timesteps": 3072, **OLD_SETTINGS, **NEW_SETTINGS})


@pytest.mark.parametrize("name", ["untold", "robust"])
def test_a_run_with_renamed_settings_resumes(old_runs: Path, tmp_path: Path, name: str) -> None:
    """Its task and its fingerprint name the hidden condition and the parameter samples by their former names."""
    run = shutil.copytree(old_runs / name, tmp_path / name, symlinks=True)
    record = json.loads((run / "config.json").read_text())
    settings, task = record["settings"], record["task"]
    options = [
        f"--{option.replace('_', '-')}={settings[option]}"
        for option in ("num_actors", "envs_per_actor", "rollout_length", "batch_size", "seed")
    ]
    hidden = [f"--hidden-sizes={units}" for units in settings["hidden_sizes"]]
    former = ["--untold"] if task["untold"] else [f"--uncertain={task['uncertain']}"]
    answer = redox_json(
        *("train", *options, *hidden, *former, f"--sampling={task['sampling']}", "--timesteps", 2048 + 256),
        *("--checkpoint-dir", run, "--resume", "auto"),
    )
    assert answer["steps"] == 2048 + 256
