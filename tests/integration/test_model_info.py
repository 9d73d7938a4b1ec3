"""`redox model info`: sizes, growth and balance of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import assert_refused, redox


def test_info_reports_the_core_on_a_medium() -> None:
    done = redox("model", "info", "--medium", "physiological", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["reactions"], answer["imbalanced"], answer["free_loops"]) == (164, 0, 0)
    assert answer["growth"] == pytest.approx(0.08444, abs=1e-5)


def test_info_on_a_medium_where_nothing_grows_reports_it_and_exits_2(e_coli_core: bytes, tmp_path: Path) -> None:
    path = tmp_path / "e_coli_core.json.gz"
    path.write_bytes(e_coli_core)
    done = redox("model", "info", str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["growth"] == pytest.approx(0.8739215, rel=1e-6)
    done = redox("model", "info", str(path), "--medium", "physiological", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["growth"] == 0.0
    assert "does not grow on medium 'physiological' (infeasible)" in done.stderr
    assert "hint" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["absent.json"], ["--medium", "seawater"], ["--biomass", "GROWTH"]],
)
def test_mistakes_exit_2_without_a_traceback(arguments: list[str]) -> None:
    assert_refused(redox("model", "info", *arguments))
