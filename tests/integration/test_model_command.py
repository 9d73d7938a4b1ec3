"""`redox model` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from commands import assert_refused, redox, redox_json, redox_process, succeeded
from model_server import FILE, ModelServer
from redox_balancer.cell.fetch import sha256_of
from redox_balancer.cell.models import save_model
from toy_cell import toy_cell


def test_the_command_fetches_to_the_cache_and_prints_json_alone_on_stdout(
    model_server: ModelServer, tmp_path: Path
) -> None:
    environment = {"REDOX_MIRROR": model_server.address, "REDOX_CACHE": str(tmp_path)}
    done = succeeded("model", "fetch", "e_coli_core", "--json", run=redox_process, environment=environment)
    answer = json.loads(done.stdout)
    assert answer["path"] == str(tmp_path / FILE)
    assert answer["sha256"] == sha256_of(tmp_path / FILE)
    assert (answer["reactions"], answer["metabolites"], answer["genes"]) == (95, 72, 137)
    assert f"{len(model_server.body):,} bytes" in done.stderr


def test_the_command_without_a_network_ends_in_two_lines(tmp_path: Path) -> None:
    server_that_is_not_there = "http://127.0.0.1:9"
    done = redox("model", "fetch", "e_coli_core", "--mirror", server_that_is_not_there, "--to", str(tmp_path))
    assert_refused(done, "127.0.0.1", "(--from)")


def test_info_reports_the_core_on_a_medium() -> None:
    answer = redox_json("model", "info", "--medium", "physiological")
    assert (answer["reactions"], answer["imbalanced"], answer["free_loops"]) == (164, 0, 0)
    assert answer["growth"] == pytest.approx(0.08444, abs=1e-5)


def test_info_on_a_medium_where_nothing_grows_reports_it_and_exits_2(e_coli_core: bytes, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(e_coli_core)
    done = succeeded("model", "info", str(path), "--json")
    assert json.loads(done.stdout)["growth"] == pytest.approx(0.8739215, rel=1e-6)
    done = redox("model", "info", str(path), "--medium", "physiological", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["growth"] == 0.0
    assert "does not grow on medium 'physiological' (infeasible)" in done.stderr
    assert "hint" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("home", [{"HOME": "/proc/1", "XDG_CACHE_HOME": "/proc/1/cache"}, {"XDG_CACHE_HOME": ""}])
@pytest.mark.parametrize("command", ["model info", "design --quick --construct LBNOX_c=0.001 --model"])
def test_no_home_folder_is_needed_and_stdout_is_json_alone(
    tmp_path: Path, home: dict[str, str], command: str
) -> None:
    model = tmp_path / "model.mat"
    save_model(toy_cell(), model)
    # COBRApy prints a line for every variable that is no model.
    savemat(model, loadmat(model) | {"a_note": np.array([1.0])})
    done = succeeded(*command.split(), model, "--json", run=redox_process, cwd=tmp_path, environment=home)
    assert json.loads(done.stdout)
    assert list(tmp_path.iterdir()) == [model]
