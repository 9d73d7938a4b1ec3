"""`redox map`: the picture and the files for Escher."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from commands import redox, redox_json


def test_the_map_of_a_rescued_cell_is_written(tmp_path: Path) -> None:
    picture, escher, fluxes = (tmp_path / name for name in ("map.svg", "map.json", "fluxes.csv"))
    cell = ("--condition", "complex_i_closed", "--construct", "NDI1_m 0.03 %")
    files = ("--output", picture, "--escher", escher, "--fluxes", fluxes)
    answer = redox_json("map", *cell, *files)
    assert answer["files"] == [str(picture), str(escher), str(fluxes)]
    assert ET.XML(picture.read_text()).attrib["aria-label"] == answer["title"]
    assert "100\u00a0%\u00a0used" in picture.read_text()
    table = dict(line.split(",") for line in fluxes.read_text().splitlines())
    names = {reaction["bigg_id"] for reaction in json.loads(escher.read_text())[1]["reactions"].values()}
    assert names <= table.keys()
    assert float(table["SINK_NDI1_m"]) > 0


def test_a_state_that_the_cell_has_not_is_one_line(tmp_path: Path) -> None:
    cell = ("--condition", "complex_iii_closed", "--construct", "NDI1_m 0.03 %", "--state", "capacity")
    answer = redox("map", *cell, "--output", tmp_path / "map.svg")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: complex_iii_closed: the cell has no fluxes in the state 'capacity'")
    assert list(tmp_path.iterdir()) == []
