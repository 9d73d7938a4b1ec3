"""Model files as they are sent around: compressed, in other encodings, named wrongly, or no model at all."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cobra
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from notations import renamed, with_boundary_species
from redox_balancer.cell.exchanges import extracellular_exchanges
from redox_balancer.cell.models import load_model, load_network, save_model, to_network
from redox_balancer.design.respiration import oxygen_uptake
from redox_balancer.errors import RedoxError
from refusals import refused
from toy_cell import GROWTH, UPTAKES, growth_of, toy_cell


@pytest.fixture(scope="module")
def json_bytes() -> bytes:
    return cobra.io.to_json(toy_cell()).encode()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def sbml(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sbml") / "toy.xml"
    save_model(toy_cell(), path)
    return path.read_text(encoding="utf-8")


def zipped(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            # Without the time, for equal test ids.
            archive.writestr(zipfile.ZipInfo(name.replace("__", ".")), content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "wrap", "repair"),
    [
        ("model.json", lambda b: b"\xef\xbb\xbf" + b, ""),
        ("model.json", lambda b: b.decode().encode("utf-16"), ""),
        ("model.json", lambda b: b.decode().encode("utf-16-le"), ""),
        ("model.json", lambda b: b.replace(b", ", b",\r\n"), ""),
        ("model.json", lambda b: b.replace(b'"toy"', b'"b\xe9b\xe9"'), "Latin-1"),
        ("model.JSON", lambda b: b, ""),
        ("model", lambda b: b, ""),
        ("model.xml", lambda b: b, "read as JSON despite its suffix: .xml"),
        ("model.json.gz", gzip.compress, ""),
        ("model.json", gzip.compress, ""),
        ("model.json.gz", lambda b: b, ""),
        ("model.json.bz2", bz2.compress, ""),
        ("model.json.xz", lzma.compress, ""),
        ("model.json.zip", lambda b: zipped(model__json=b, readme__txt=b"read me"), ""),
        ("model.zip", lambda b: zipped(model__gz=gzip.compress(b)), ""),
    ],
)
def test_encodings_and_archives_are_told_by_the_content(
    tmp_path: Path, json_bytes: bytes, name: str, wrap: Callable[[bytes], bytes], repair: str
) -> None:
    path = tmp_path / name
    path.write_bytes(wrap(json_bytes))
    loaded = load_model(path)
    assert growth_of(loaded.model) == pytest.approx(GROWTH)
    assert repair in "".join(loaded.repairs)
    assert len(loaded.repairs) == bool(repair)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_sbml_in_other_encodings_is_read(tmp_path: Path, sbml: str, encoding: str) -> None:
    path = tmp_path / "model.xml"
    declared = sbml.replace("UTF-8", encoding.removesuffix("-sig")).replace('name="cytosol"', 'name="cytosolé"')
    path.write_bytes(declared.encode(encoding))
    loaded = load_model(path)
    assert growth_of(loaded.model) == pytest.approx(GROWTH)
    assert (loaded.model.compartments["c"], loaded.repairs) == ("cytosolé", ())


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
HTML = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>"


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("m.json", POINTER, "a Git LFS pointer, not the model", "git lfs pull"),
        ("m.mat", POINTER, "a Git LFS pointer, not the model", "git lfs pull"),
        ("m.json", HTML, "a web page, not a model", "download the file itself"),
        ("m.xml", HTML, "a web page, not a model", "download the file itself"),
        ("m.json", b"", "it is empty", "download or copy it again"),
        ("m.json.gz", gzip.compress(b"{" * 999, mtime=0)[:-9], "Compressed file ended", "damaged"),
        ("m.json.xz", lzma.compress(b"{" * 999)[:-9], "Compressed file ended", "damaged"),
        ("m.json.zip", zipped(a__json=b"{}")[:-9], "not a zip file", "damaged"),
        ("m.json", b'{"reactions": [', "line 1 column 16", "damaged"),
        ("m.json", b'{"reactions": [,]}', "line 1 column 16", "mend that place"),
        ("m.json", b'{"reactions": [{"a": -1, "a": 1}]}', "'a' has two values, -1 and 1", "remove one"),
        ("m.json.zip", zipped(a__json=b"{}", b__json=b"{}"), "2 files (a.json, b.json)", "unpack it"),
        ("m.mat", b"MATLAB 7.3 MAT-file".ljust(200), "a MAT file of version 7.3", "-v7"),
        ("m.xml", b"<?xml version='1.0'?><graph/>", "XML, but not SBML", "export"),
        ("m.xml", b'<sbml xmlns="http://example.org"><model/></sbml>', "line 1: ", "SBML with fbc"),
        ("m.yml", b"reactions: [\n", "line", "mend that place"),
        ("m.yml", b"reactions: !!omap\n- a: 1\n- a: 2\n", "a key occurs twice", "mend that place"),
        ("m.txt", b"Dear reader", "unknown model format '.txt'", "known"),
        ("m.csv.gz", gzip.compress(b"reaction,equation", mtime=0), "unknown model format '.csv'", "known"),
    ],
)
def test_what_is_no_model_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes, message: str, hint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with refused(message, hint):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "it is a folder"),
        ("absent.json", "no model file"),
        ("file/model.json", "no model file"),
        ("x" * 300, "cannot read .*: File name too long"),
    ],
)
def test_a_path_that_is_no_file_is_called_what_it_is(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RedoxError, match=message):
        load_model(tmp_path / name)


def test_a_missing_temporary_folder_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(toy_cell(), tmp_path / "model.json")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(RedoxError, match=r"cannot (read|write)"):
        load_model(tmp_path / "model.json")


FBC = "http://www.sbml.org/sbml/level3/version1/fbc/version2"


@pytest.mark.parametrize(
    ("old", "new", "repair"),
    [
        (' fbc:charge="-1"', "", ""),
        ('fbc:charge="-1"', 'fbc:charge="-0.5"', "charge that is no whole number left out: lac__L_e (-0.5)"),
        (' fbc:upperFluxBound="cobra_default_ub"', "", "no upper bound, set to 1000.0: GLCt1, O2t"),
        ("M_pyr_c", "M_pyr__32__uvate_c", "in an id replaced by _: pyr_uvate_c"),
        (FBC, "http://example.org/fbc", "no lower bound, set to -1000.0: GLCt1, O2t"),
    ],
)
def test_what_sbml_does_not_say_is_not_taken_for_0(
    tmp_path: Path, sbml: str, old: str, new: str, repair: str
) -> None:
    path = tmp_path / "model.xml"
    assert old in sbml
    path.write_text(sbml.replace(old, new), encoding="utf-8")
    loaded = load_model(path)
    assert repair in "; ".join(loaded.repairs)
    if "charge" in old:
        assert loaded.model.metabolites.get_by_id("pyr_c").charge is None
        assert loaded.model.metabolites.get_by_id("nadh_c").charge == -2


def level_2(model: cobra.Model, rule: str = "") -> str:
    """A model as the COBRA Toolbox wrote SBML before fbc: bounds in kinetic laws, the rest in notes."""

    def notes(**values: object) -> str:
        lines = "".join(f"<p>{key}: {value}</p>" for key, value in values.items())
        return f'<notes><body xmlns="http://www.w3.org/1999/xhtml">{lines}</body></notes>'

    species = "".join(
        f'<species id="M_{m.id}" compartment="{m.compartment}" boundaryCondition="{int(m.id.endswith("_b"))}">'
        f"{notes(FORMULA=m.formula, CHARGE=m.charge)}</species>"
        for m in model.metabolites
    )
    reactions = ""
    for r in model.reactions:
        sides = {"Reactants": r.reactants, "Products": r.products}
        lists = "".join(
            f"<listOf{side}>"
            + "".join(
                f'<speciesReference species="M_{m.id}" stoichiometry="{abs(r.metabolites[m])}"/>' for m in those
            )
            + f"</listOf{side}>"
            for side, those in sides.items()
            if those
        )
        values = {"LOWER_BOUND": r.lower_bound, "UPPER_BOUND": r.upper_bound} | (
            {"OBJECTIVE_COEFFICIENT": 1} if r.id == "BIOMASS" else {}
        )
        law = "".join(f'<parameter id="{key}" value="{value}"/>' for key, value in values.items())
        reactions += (
            f'<reaction id="R_{r.id}">{notes(GENE_ASSOCIATION=rule) if r.id == "GLYC" else ""}{lists}<kineticLaw>'
            '<math xmlns="http://www.w3.org/1998/Math/MathML"><ci>FLUX_VALUE</ci></math>'
            f"<listOfParameters>{law}</listOfParameters></kineticLaw></reaction>"
        )
    compartments = "".join(f'<compartment id="{name}"/>' for name in model.compartments)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><sbml xmlns="http://www.sbml.org/sbml/level2" level="2" version="1">'
        f'<model id="toy"><listOfCompartments>{compartments}</listOfCompartments>'
        f"<listOfSpecies>{species}</listOfSpecies><listOfReactions>{reactions}</listOfReactions></model></sbml>"
    )


@pytest.mark.parametrize(
    ("rule", "read", "repairs"),
    [("( G_a1 and b-2 )", "a1 and b-2", 0), ("a or b[c]", "", 1), ("a (b)", "", 1), ("(a and b", "", 1)],
)
def test_sbml_of_level_2_is_read_with_any_gene_rule(tmp_path: Path, rule: str, read: str, repairs: int) -> None:
    path = tmp_path / "model.xml"
    path.write_text(level_2(toy_cell(), rule), encoding="utf-8")
    loaded = load_model(path)
    assert growth_of(loaded.model) == pytest.approx(GROWTH)
    assert loaded.model.metabolites.get_by_id("nadh_c").charge == -2
    glycolysis = loaded.model.reactions.get_by_id("GLYC")
    assert (glycolysis.gene_reaction_rule, glycolysis.notes["GENE_ASSOCIATION"]) == (read, rule)
    assert loaded.repairs == ("gene rule that is no expression kept as a note: GLYC",) * repairs


def test_sbml_of_level_2_has_its_exchanges_with_boundary_species_and_compartments_of_any_name(tmp_path: Path) -> None:
    model, path = toy_cell(), tmp_path / "model.xml"
    with_boundary_species(sources=False)(model)
    renamed("{}_{}".format, str, c="Cytosol", e="Extra_organism", b="Extra_organism")(model)
    path.write_text(level_2(model), encoding="utf-8")
    network = load_network(path)
    assert {exchange.metabolite: exchange.uptake for exchange in extracellular_exchanges(network)} == {
        f"{species}_e": uptake for species, uptake in UPTAKES.items()
    }
    assert "boundary species left out" in network.repairs[-1]
    assert oxygen_uptake(network) == UPTAKES["o2"]


BRACKETED = [f"{metabolite.id[:-2]}[{metabolite.compartment}]" for metabolite in toy_cell().metabolites]


def changed_mat(folder: Path, change: dict[str, Any]) -> Path:
    path = folder / "model.mat"
    save_model(toy_cell(), path)
    fields = loadmat(path, simplify_cells=True)["toy"] | change
    savemat(path, {"toy": {key: value for key, value in fields.items() if value is not None}, "notes": "other"})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"S": None}, "it contains toy, notes, but no struct"),
        ({"lb": None}, "its model has no lb"),
        ({"lb": [0.0]}, "18 reactions with 1 lower"),
        ({"ub": ["much"] * 18}, "its field ub is not of numbers: could not convert string to float"),
    ],
)
def test_mat_files_without_a_whole_model_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with refused(message):
        load_model(changed_mat(tmp_path, change))


@pytest.mark.parametrize(
    ("change", "repair"),
    [
        ({}, ""),
        ({"metCharges": None}, "the model has no charges"),
        ({"metCharges": [np.nan] * 20}, "the model has no charges"),
        ({"comps": None, "compNames": None, "metComps": None}, ""),
        ({"csense": "L" + "E" * 19}, "inequality of a metabolite read as steady state: glc__D_e"),
        ({"subSystems": [np.array([["a"]], dtype=object)] * 18}, ""),
        ({"grRules": None, "genes": ["a", "b"], "rules": ["x(1) | x(2)"] * 18}, ""),
        ({"osenseStr": "max"}, ""),
        ({"mets": BRACKETED}, ""),
        ({"osenseStr": [], "osense": -1}, ""),
    ],
)
def test_mat_files_are_read_whatever_their_cells_hold(tmp_path: Path, change: dict[str, Any], repair: str) -> None:
    loaded = load_model(changed_mat(tmp_path, change))
    assert growth_of(loaded.model) == pytest.approx(GROWTH)
    assert repair in "".join(loaded.repairs)
    assert bool(loaded.repairs) == bool(repair)
    if "rules" in change:
        assert loaded.model.reactions.get_by_id("GLYC").gene_reaction_rule == "a or b"
    nadh = "nadh[c]" if "mets" in change else "nadh_c"
    assert to_network(loaded.model).find_metabolite("nadh_c") == nadh


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m.metabolites[0], "compartment", "1 2"), "SBML has no such compartment ids: '1 2'"),
        (lambda m: setattr(m.metabolites[0], "name", "\x0b"), "the SBML cannot be read again"),
    ],
)
def test_sbml_that_could_not_be_read_again_is_refused(
    tmp_path: Path, change: Callable[[cobra.Model], None], message: str
) -> None:
    model = toy_cell()
    change(model)
    with refused(message):
        save_model(model, tmp_path / "model.xml")
    assert list(tmp_path.iterdir()) == []
