"""`redox model curate` on Recon3D as published: `make drills DRILL=curate`."""

from pathlib import Path

import pytest
from rich.console import Console

from commands import redox_json
from redox_balancer.cell.function_list import read_functions
from redox_balancer.cell.functions import perform
from redox_balancer.cell.models import load_model, to_network
from redox_balancer.cell.probes import free_fluxes

LIMIT_S = 900.0


@pytest.mark.timeout(0)  # the command's own time is judged
@pytest.mark.parametrize("medium", ["human_minimal", "model"])
def test_published_recon3d_ends_with_nothing_free(recon3d_path: Path, tmp_path: Path, medium: str) -> None:
    output = tmp_path / "curated.json.gz"
    answer = redox_json("model", "curate", recon3d_path, "--output", output, "--medium", medium)
    shown = ("seconds", "rounds", "price", "cycles", "growth", "growth_after")
    Console().print(medium, len(answer["closings"]), "steps", *(f"{key} {answer[key]:.7g}" for key in shown))
    assert sum(value["before"] > 0 for value in answer["probes"].values()) == 12
    assert answer["growth_after"] >= 0.99 * answer["growth"]
    assert answer["functions_lost"] == answer["functions_not_performed"] == []
    curated = to_network(load_model(output).model, "BIOMASS_reaction")
    assert not any(free_fluxes(curated).values())
    assert all(test.performed for test in perform(curated, read_functions()))
    assert answer["seconds"] < LIMIT_S
