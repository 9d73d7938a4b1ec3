"""Reading and writing one format each: COBRApy's readers and writers, and what they lack."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from scipy.io import savemat

from redox_balancer.cell.cobrapy import cobra, quiet_cobra
from redox_balancer.cell.documents import GPR, clean_id, model_of, read_rule, rules_from_notes
from redox_balancer.cell.matlab import read_matlab
from redox_balancer.cell.model_file import DAMAGED, plain_xml, text_of
from redox_balancer.cell.repairs import Repairs, UnreadableError, shortened

_SBML_END = re.compile(r"</(\w+:)?sbml\s*>\s*(<!--.*-->\s*)?$", re.DOTALL)
_SPECIES = re.compile(r"<(?:\w+:)?species\s((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>")
_ATTRIBUTE = re.compile(r"(?:^|[\s:])(id|charge)\s*=\s*[\"']([^\"']*)")
_RULES = re.compile(r"<(\w+:)?listOfGeneAssociations\b.*?</(\w+:)?listOfGeneAssociations>", re.DOTALL)
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_MISSING_BOUND = re.compile(r"Missing (\w+) flux bound set to '(\S+)' for reaction: '<Reaction (?:R_)?(\S+?)[ >]")
"""Message of COBRApy."""


def _read_json(path: Path, _folder: Path, repairs: Repairs) -> cobra.Model:
    text = text_of(path.read_bytes(), repairs)
    try:
        document = json.loads(text, object_pairs_hook=_one_number_each)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        hint = DAMAGED if cut else "mend that place, or write the file again with the program that it came from"
        raise UnreadableError(str(error), hint=hint) from error
    return model_of(document, repairs)


def _one_number_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    for name, value in pairs if len(found) < len(pairs) else ():
        if isinstance(value, int | float) and value != found[name]:
            raise UnreadableError(f"{name!r} has two values, {value} and {found[name]}", hint="remove one of them")
    return found


def _read_yaml(path: Path, _folder: Path, repairs: Repairs) -> cobra.Model:
    try:
        # COBRApy reads with it, too, but in the slower mode that keeps comments.
        document = YAML(typ="safe", pure=True).load(text_of(path.read_bytes(), repairs))
    except (YAMLError, AssertionError) as error:  # the latter for a key that occurs twice in an !!omap
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f"line {mark.line + 1:,}: " if mark is not None else ""
        raise UnreadableError(
            place + (problem or str(error) or "a key occurs twice").partition("\n")[0],
            hint="mend that place; a file that ends there is cut short: download or copy it again",
        ) from error
    return model_of(document, repairs)


def _read_mat(path: Path, _folder: Path, repairs: Repairs) -> cobra.Model:
    document, direction = read_matlab(path, repairs)
    model = model_of(document, repairs)
    model.objective_direction = direction
    return model


def _read_sbml(path: Path, folder: Path, repairs: Repairs) -> cobra.Model:
    plain, text = plain_xml(path, folder, repairs)
    if "sbml" not in text[:2000]:
        raise UnreadableError("it is XML, but not SBML", hint="export the model as SBML level 3 with fbc")
    if not _SBML_END.search(text[-2000:]):
        raise UnreadableError("it ends before </sbml>", hint=DAMAGED)
    with quiet_cobra() as heard, _lenient_reader():
        try:
            model = cobra.io.read_sbml_model(str(plain), f_replace=_own_ids(repairs))
        except Exception as error:
            without, removed = _RULES.subn("", text)
            if removed and isinstance(error.__cause__, AttributeError):
                # A rule of fbc version 1 with a hyphen in a gene is an empty one for libSBML, at which COBRApy stops.
                rest = folder / "without_rules.xml"
                rest.write_text(without, encoding="utf-8")
                repairs.add("gene rules of fbc version 1 that cannot be read left out where the notes have no others")
                return _read_sbml(rest, folder, repairs)
            raise UnreadableError(
                _reason(error, plain), hint="mend that place (validators of SBML find it), or export the model again"
            ) from error
    if not model.reactions:
        problem = _fault_of_sbml(plain) or "it contains no reactions"
        raise UnreadableError(problem, hint="use a metabolic model in SBML with fbc")
    for missing in filter(None, (_MISSING_BOUND.match(record.getMessage()) for record in heard)):
        repairs.add(f"no {missing[1]} bound, set to {missing[2]}", missing[3])
    if "/fbc/version" in text:
        _read_charges(model, text)
    rules_from_notes(model, repairs)
    return model


def _own_ids(repairs: Repairs) -> dict[str, Callable[..., str]]:
    """COBRApy's functions from SBML's ids to its own, with blanks replaced, which it would stop at."""
    seen: set[str] = set()

    def own(function: Callable[[str], str], sbml: str) -> str:
        # SBML writes a blank as `__32__`, which the function takes back.
        decoded = function(sbml.strip())
        plain = clean_id(decoded, None if decoded in seen else repairs)
        seen.add(decoded)
        return plain

    return {name: partial(own, function) for name, function in cobra.io.sbml.F_REPLACE.items()}


@contextmanager
def _lenient_reader() -> Iterator[None]:
    """Let COBRApy's reader of SBML pass over what it would stop at.

    Gene rules that are no expression stay in the notes. A lower bound may be above the default of the upper one,
    which is set later.
    """
    reaction = cobra.Reaction
    rule, check = GPR.__dict__["from_string"], reaction.__dict__["_check_bounds"]
    GPR.from_string, reaction._check_bounds = staticmethod(read_rule), staticmethod(lambda _lower, _upper: None)  # noqa: SLF001
    try:
        yield
    finally:
        GPR.from_string, reaction._check_bounds = rule, check  # noqa: SLF001


def _read_charges(model: cobra.Model, text: str) -> None:
    """Take back the charge 0 that COBRApy gives species without one, and read those that are no whole number."""
    own_id = cobra.io.sbml.F_REPLACE["F_SPECIE"]
    for tag in _SPECIES.finditer(text):
        attributes = dict(_ATTRIBUTE.findall(tag[1]))
        charge = attributes.get("charge")
        if charge is None or not _WHOLE.fullmatch(charge):
            name = own_id(attributes.get("id", ""))
            if name in model.metabolites:
                model.metabolites.get_by_id(name).charge = charge


def _reason(error: Exception, path: Path) -> str:
    """Why COBRApy could not read SBML, which its own message never says."""
    cause = error.__cause__ or error
    said = str(cause).partition("\n")[0]
    if isinstance(cause, KeyError):
        return f"{said} is used, but not defined"
    if isinstance(cause, ValueError | cobra.io.sbml.CobraSBMLError) and not said.startswith("No SBML model"):
        return said
    return _fault_of_sbml(path) or said


def _fault_of_sbml(path: Path) -> str:
    """The first error that libSBML finds when it reads a file, empty if it finds none."""
    libsbml = cobra.io.sbml.libsbml
    log = libsbml.readSBMLFromFile(str(path))
    for error in map(log.getError, range(log.getNumErrors())):
        if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            return f"line {error.getLine():,}: {error.getShortMessage()}"
    return ""


def _write_yaml(model: cobra.Model, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        # COBRApy's one writer is of no use after a failure.
        writer = cobra.io.yaml.CobraYAML(typ="rt")
        writer.dump(cobra.io.dict.model_to_dict(model) | {"version": cobra.io.yaml.YAML_SPEC}, file)


def _write_mat(model: cobra.Model, path: Path) -> None:
    fields = cobra.io.mat.create_mat_dict(model)
    # COBRApy leaves all charges out where one is not known.
    fields["metCharges"] = np.array([m.charge if m.charge is not None else np.nan for m in model.metabolites], float)
    variable = re.sub(r"\W", "_", str(model.id or ""), flags=re.ASCII).lstrip("_0123456789")[:31] or "model"
    savemat(str(path), {variable: fields}, appendmat=False, oned_as="column")


def _write_sbml(model: cobra.Model, path: Path) -> None:
    libsbml = cobra.io.sbml.libsbml
    valid = libsbml.SyntaxChecker.isValidSBMLSId
    if bad := [repr(name) for name in model.compartments if not (isinstance(name, str) and valid(name))]:
        raise UnreadableError(f"SBML has no such compartment ids: {shortened(bad)}", hint="write the model as JSON")
    with path.open("w", encoding="utf-8") as file:  # libSBML would not say that the disk is full
        cobra.io.write_sbml_model(model, file)
    # libSBML writes control characters in names, which no reader of XML takes, and leaves out what it refuses.
    written = libsbml.readSBMLFromFile(str(path)).getModel()
    sizes = (len(model.metabolites), len(model.reactions))
    if written is None or (written.getNumSpecies(), written.getNumReactions()) != sizes:
        problem = f"the SBML cannot be read again: {_fault_of_sbml(path) or 'parts are missing'}"
        raise UnreadableError(problem, hint="write the model as JSON")


READERS: dict[str, Callable[[Path, Path, Repairs], cobra.Model]] = {
    "json": _read_json,
    "sbml": _read_sbml,
    "mat": _read_mat,
    "yaml": _read_yaml,
}
"""Readers by format: of an uncompressed file, with a folder for temporary files."""

WRITERS: dict[str, Callable[[cobra.Model, Path], None]] = {
    "json": lambda model, path: cobra.io.save_json_model(model, str(path)),
    "sbml": _write_sbml,
    "mat": _write_mat,
    "yaml": _write_yaml,
}
