"""Media of one's own: every notation means the same, and what is wrong with a file is one line."""

import json
from pathlib import Path

import cobra
import numpy as np
import pytest

import redox_balancer as rb
from redox_balancer.cell.media import apply_medium
from redox_balancer.cell.models import to_network
from redox_balancer.cell.network import Network
from redox_balancer.designer.trained_run import TrainedRun
from refusals import refused
from toy_cell import toy_cell

UPTAKES = {"EX_glc__D_e": 0.5, "EX_o2_e": 2.0, "EX_h_e": 1000.0, "EX_h2o_e": 1000.0}


def rows(delimiter: str, header: str = "", names: tuple[str, ...] = tuple(UPTAKES)) -> str:
    lines = [f"{name}{delimiter}{uptake}" for name, uptake in zip(names, UPTAKES.values(), strict=True)]
    return "\n".join([*filter(None, [header]), *lines, ""])


def toml(heading: str = "") -> str:
    return heading + "\n" + rows(" = ")


@pytest.fixture
def cell() -> tuple[Network, cobra.Model]:
    """The toy cell with a sink, and COBRApy's view of it on the medium."""
    model = toy_cell()
    model.add_boundary(model.metabolites.lac__L_c, type="sink")
    network = to_network(model)
    model.medium = UPTAKES
    return network, model


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.toml", toml()),
        ("named.toml", toml("[uptakes]")),
        ("entry.toml", toml('[[medium]]\nid = "mine"\n[medium.uptakes]')),
        ("plain.tsv", rows("\t")),
        ("header.tsv", rows("\t", "exchange\tuptake")),
        ("metabolites.tsv", rows("\t", "# of a paper\nmetabolite\tuptake", ("glc__D_e", "o2_e", "h_e", "h2o_e"))),
        ("species.txt", rows("\t", names=("glc__D", "o2", "h", "h2o"))),
        ("order.csv", "uptake,exchange\n" + "\n".join(f"{uptake},{name}" for name, uptake in UPTAKES.items())),
        ("windows.csv", "\ufeff" + rows(";").replace("\n", "\r\n")),
        ("cobrapy.json", json.dumps(UPTAKES)),
        ("absent_but_unused.json", json.dumps(UPTAKES | {"EX_xyl__D_e": 0.0})),
        ("names.csv", rows(",") + "o2_e,2.0\n"),
    ],
)
def test_every_notation_gives_the_bounds_of_cobrapy(
    name: str, content: str, tmp_path: Path, cell: tuple[Network, cobra.Model]
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    network, theirs = cell
    fed = apply_medium(network, str(tmp_path / name))
    expected = [reaction.bounds for reaction in theirs.reactions]
    np.testing.assert_array_equal(np.column_stack([fed.lower, fed.upper]), expected)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tables.toml", "[secretions]\nEX_lac__L_e = 1.5\no2_e = 2.0\n[uptakes]\no2_e = 2.0\n"),
        ("plain.toml", "o2_e = 2.0\n[secretions]\nEX_lac__L_e = { value = 1.5, source = 'a paper' }\no2_e = 2.0\n"),
        ("entry.toml", "[[medium]]\nid = 'a'\nuptakes.o2 = 2\nsecretions.EX_lac__L_e = 1.5\nsecretions.o2 = 2\n"),
        ("columns.tsv", "exchange\tuptake\tsecretion\nEX_lac__L_e\t0\t1.5\no2_e\t2\t2\n"),
        ("empty.csv", "exchange,uptake,secretion\nEX_lac__L_e,,1.5\no2_e,2,2\nglc__D_e,,\n"),
        ("both.json", '{"uptakes": {"o2": 2}, "secretions": {"EX_lac__L_e": 1.5, "o2": 2}}'),
    ],
)
def test_a_file_that_lists_secretions_closes_all_others(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    fed = apply_medium(to_network(toy_cell()), str(tmp_path / name))
    open_ = {"EX_o2_e": (-2.0, 2.0), "EX_lac__L_e": (0.0, 1.5)}
    assert {exchange: fed.bounds_of(exchange) for exchange in fed.exchanges} == (
        dict.fromkeys(fed.exchanges, (0.0, 0.0)) | open_
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.tsv", "", "lists no uptakes"),
        ("empty.json", "{}", "lists no uptakes"),
        ("empty.toml", "", "lists no uptakes"),
        ("list.json", "[1, 2]", "lists no uptakes"),
        ("negative.csv", "EX_glc__D_e,-10\n", "EX_glc__D_e is -10.0"),
        ("nan.json", '{"EX_o2_e": NaN}', "EX_o2_e is nan"),
        ("infinite.json", '{"EX_o2_e": Infinity}', "EX_o2_e is inf"),
        ("text.toml", 'EX_o2_e = "much"', "EX_o2_e is 'much'"),
        ("text.csv", "EX_o2_e,ten\nEX_glc__D_e,1\n", "EX_o2_e is 'ten'"),
        ("twice.json", '{"EX_o2_e": 1, "EX_o2_e": 2}', "EX_o2_e twice"),
        ("both.csv", "EX_o2_e,1\no2_e,2\n", "two uptakes of EX_o2_e"),
        ("columns.tsv", "EX_o2_e 5\n", "has no columns"),
        ("short.tsv", "EX_o2_e\t5\nEX_glc__D_e\n", "without an uptake: 'EX_glc__D_e'"),
        ("broken.json", '{"EX_o2_e": ', "is no medium"),
        ("binary.tsv", "\udcff\t1", "is no medium"),
        ("two.toml", "[[medium]]\nid = 'a'\n[[medium]]\nid = 'b'\n", "2 media instead of one"),
        ("schema.toml", "[[medium]]\ncolour = 1\n[medium.uptakes]\nEX_o2_e = 1\n", "colour"),
        ("decimals.csv", "EX_o2_e;0,5\nEX_glc__D_e;1,0\n", "EX_o2_e is '0,5'"),
        ("maintenance.toml", "[[medium]]\nid = 'a'\nuptakes.EX_o2_e = 1\nmaintenance.NGAM = 5\n", "no reaction NGAM"),
        ("unknown.csv", "EX_o2_e,1\nEX_xyl__D_e,2\nRESP,3\n", "no exchange for EX_xyl__D_e, RESP"),
        ("absent.tsv", None, "No such file"),
        (
            "leaving.toml",
            "[uptakes]\nEX_o2_e = 1\n[secretions]\nEX_co2_e = 'all'\n",
            "secretion of EX_co2_e is 'all'",
        ),
        ("leaving.csv", "id,uptake,secretion\nEX_o2_e,1,0\nEX_co2_e,0,free\n", "secretion of EX_co2_e is 'free'"),
        ("list.toml", "secretions = ['EX_co2_e']\n[uptakes]\nEX_o2_e = 1\n", "secretions without their exchanges"),
        ("gone.toml", "[uptakes]\nEX_o2_e = 1\n[secretions]\nEX_xyl__D_e = 1\n", "no exchange for EX_xyl__D_e"),
        (
            "twice.toml",
            "[uptakes]\nEX_o2_e = 1\n[secretions]\nEX_co2_e = 1\nco2 = 2\n",
            "two secretions of EX_co2_e: 1 as EX_co2_e and 2 as co2",
        ),
        (
            "misspelt.json",
            '{"uptakes": {"EX_o2_e": 1}, "secretion": {"EX_co2_e": 1}}',
            "has secretion beside its uptakes",
        ),
        ("above.toml", "oxygen_budget = 0.1\n[uptakes]\nEX_o2_e = 1\n", "has oxygen_budget beside its uptakes"),
        (
            "outside.toml",
            "[[medium]]\nid = 'a'\n[medium.uptakes]\nEX_o2_e = 1\n[secretions]\nEX_co2_e = 1\n",
            "secretions",
        ),
        (
            "against.toml",
            "[uptakes]\nEX_o2_e = 1\n[secretions]\no2_e = 1\n",
            "EX_o2_e for its uptake as EX_o2_e and for its secretion as o2_e",
        ),
    ],
)
def test_a_mistake_in_a_medium_is_one_line(name: str, content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8", errors="surrogateescape")
    with refused(said):
        apply_medium(to_network(toy_cell()), str(tmp_path / name))


def test_a_run_finds_its_medium_from_anywhere_and_notices_that_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = tmp_path / "mine.csv"
    medium.write_text(rows(","))
    monkeypatch.chdir(tmp_path)
    task = rb.Task(model=toy_cell(), medium="mine.csv", conditions="healthy")
    rb.train(task, tmp_path / "run", timesteps=300, num_actors=0)
    monkeypatch.chdir("/")
    run = TrainedRun.open(tmp_path / "run")
    assert run.task.medium == str(medium)
    run.environments()
    medium.write_text(rows(",").replace("0.5", "0.6"))
    with pytest.raises(rb.RedoxError, match="model_sha256 changed"):
        run.environments()
