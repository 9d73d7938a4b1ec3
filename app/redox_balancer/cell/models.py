"""Reading and writing model files, and their conversion to a `Network`.

The formats are COBRApy's JSON, SBML, MAT and YAML, each optionally compressed with gzip. Known errors of published
models are repaired when a file is read, and reported.
"""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from redox_balancer.cell.boundary import find_boundary_species, fold_boundary_species
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.growth import growth_reaction
from redox_balancer.cell.names import Names, add_cross_references, names_of
from redox_balancer.cell.network import Network
from redox_balancer.errors import RedoxError
from redox_balancer.files import written_atomically

if TYPE_CHECKING:
    import cobra

SUFFIXES = {".json": "json", ".xml": "sbml", ".sbml": "sbml", ".mat": "mat", ".yml": "yaml", ".yaml": "yaml"}
"""Format by suffix; `.gz` may follow."""

KNOWN_CHARGES = {"h": (("H",), 1), "pi": (("HO4P", "HPO4"), -2)}
"""Formulas and charge at pH 7 of metabolites to which published models (BiGG's Recon3D) assign charge 0."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that was read from a file.

    Attributes
    ----------
    model
        The COBRApy model.
    repairs
        Errors that were repaired, one line each.
    """

    model: cobra.Model
    repairs: tuple[str, ...]


def load_model(path: Path) -> LoadedModel:
    """Read a model file and repair known charge errors.

    Parameters
    ----------
    path
        JSON, SBML (.xml, .sbml), MAT or YAML, each optionally with `.gz`.

    Raises
    ------
    RedoxError
        The file is missing, damaged, of an unknown format or not a metabolic model.
    """
    kind = _format_of(path)
    if not path.is_file():
        raise RedoxError(
            f"no model file {path}",
            hint="check the path, or fetch a public model",
            settings=("model",),
        )
    with tempfile.TemporaryDirectory(prefix="redox-model-") as folder, quiet_cobra():
        try:
            # COBRApy reads .gz for SBML only.
            plain = _unpacked(path, Path(folder)) if path.suffix == ".gz" else path
            model = _reader(kind)(str(plain))
        except Exception as error:
            # The readers pass on any error of their parsers (KeyError, lxml and YAML errors, zlib.error ...).
            raise RedoxError(
                f"cannot read {path} as a {kind.upper()} model: {_first_line(error)}",
                hint="the file is damaged, truncated or not a metabolic model: download it again",
            ) from error
    if not model.reactions or not model.metabolites:
        raise RedoxError(f"{path} contains no reactions", hint="use a metabolic model: JSON, SBML, MAT or YAML")
    add_cross_references(model, path.parent)
    return LoadedModel(model, _repair_charges(model) + fold_boundary_species(model))


def save_model(model: cobra.Model, path: Path) -> None:
    """Write a model in the format of the suffix; `.gz` compresses.

    Parameters
    ----------
    model
        A COBRApy model.
    path
        File to write; an existing file is replaced only when the new one is complete.

    Raises
    ------
    RedoxError
        The suffix is unknown or the file cannot be written.
    """
    kind = _format_of(path)
    with (
        tempfile.TemporaryDirectory(prefix="redox-model-") as folder,
        written_atomically(path) as target,
        quiet_cobra(),
    ):
        plain = Path(folder) / f"model.{kind}" if path.suffix == ".gz" else target
        _writer(kind)(model, str(plain))
        if plain is not target:
            # Without name and time in the header, equal models give identical files.
            with (
                plain.open("rb") as source,
                target.open("wb") as raw,
                gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
            ):
                shutil.copyfileobj(source, packed)


def to_network(model: cobra.Model, objective: str | None = None) -> Network:
    """Convert a COBRApy model to a `Network`.

    Known charge errors are repaired in the network; the model is not changed.

    Parameters
    ----------
    model
        Bounds in mmol/gDW/h.
    objective
        The reaction whose flux is growth, by id or BiGG name; by default the model's own objective.

    Raises
    ------
    RedoxError
        The model has no such reaction, or its objective does not consist of exactly one reaction.
    """
    objective, repairs = growth_reaction(model) if objective is None else (objective, ())
    network = _network(
        str(model.id or "model"),
        [(m.id, m.formula, _known_charge(m) or m.charge) for m in model.metabolites],
        [(r.id, {m.id: float(value) for m, value in r.metabolites.items()}, *r.bounds) for r in model.reactions],
        objective,
        names_of(model),
    )
    return replace(network, repairs=(*repairs, *network.names.assumptions))


def load_network(source: Path | cobra.Model | None = None, *, objective: str | None = None) -> Network:
    """Load a network.

    Parameters
    ----------
    source
        Model file or COBRApy model; by default the embedded human redox core, which is read without COBRApy.
    objective
        The reaction whose flux is growth; by default the model's own objective.

    Raises
    ------
    RedoxError
        As in `load_model` and `to_network`.
    """
    if source is None:
        core = _embedded_network()
        return core if objective is None else core.with_objective(objective)
    if not isinstance(source, Path):
        return to_network(without_boundary_species(source), objective)
    loaded = load_model(source)
    network = to_network(loaded.model, objective)
    return replace(network, repairs=loaded.repairs + network.repairs)


def without_boundary_species(model: cobra.Model) -> cobra.Model:
    """Return a model, or a copy without its boundary species if it has any, as `load_model` leaves them out."""
    if find_boundary_species(model):
        model = model.copy()
        fold_boundary_species(model)
    return model


@cache
def _embedded_network() -> Network:
    document = json.loads(core_json().read_text(encoding="utf-8"))
    return _network(
        document["id"],
        [(m["id"], m["formula"], m["charge"]) for m in document["metabolites"]],
        [(r["id"], r["metabolites"], r["lower_bound"], r["upper_bound"]) for r in document["reactions"]],
        next(r["id"] for r in document["reactions"] if r.get("objective_coefficient")),
        Names(compartments={m["id"]: m["compartment"] for m in document["metabolites"]}),
    )


def _network(
    name: str,
    metabolites: Sequence[tuple[str, str | None, float | None]],
    reactions: Sequence[tuple[str, dict[str, float], float, float]],
    objective: str,
    names: Names,
) -> Network:
    rows = {metabolite: row for row, (metabolite, _, _) in enumerate(metabolites)}
    indptr, indices, data = [0], [], []
    for _, stoichiometry, _, _ in reactions:
        for metabolite, value in stoichiometry.items():
            indices.append(rows[metabolite])
            data.append(value)
        indptr.append(len(indices))
    network = Network(
        id=name,
        reactions=tuple(reaction for reaction, _, _, _ in reactions),
        metabolites=tuple(rows),
        indptr=np.asarray(indptr, dtype=np.int32),
        indices=np.asarray(indices, dtype=np.int32),
        data=np.asarray(data, dtype=np.float64),
        lower=np.asarray([lower for _, _, lower, _ in reactions], dtype=np.float64),
        upper=np.asarray([upper for _, _, _, upper in reactions], dtype=np.float64),
        objective=objective,
        formulas={metabolite: formula for metabolite, formula, _ in metabolites if formula},
        charges={metabolite: int(charge) for metabolite, _, charge in metabolites if charge is not None},
        names=names,
    )
    return network.with_objective(objective)


def _repair_charges(model: cobra.Model) -> tuple[str, ...]:
    repaired: dict[int, list[str]] = {}
    for metabolite in model.metabolites:
        charge = _known_charge(metabolite)
        if charge is not None:
            metabolite.charge = charge
            repaired.setdefault(charge, []).append(metabolite.id)
    return tuple(f"charge {charge:+d} instead of 0 or none for {', '.join(ids)}" for charge, ids in repaired.items())


def _known_charge(metabolite: cobra.Metabolite) -> int | None:
    """Correct charge of a metabolite in `KNOWN_CHARGES` that has charge 0 or none; None for any other."""
    formulas, charge = KNOWN_CHARGES.get(metabolite.id.rpartition("_")[0], ((), 0))
    return charge if metabolite.formula in formulas and not metabolite.charge else None


def _format_of(path: Path) -> str:
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    try:
        return SUFFIXES[suffix.lower()]
    except KeyError:
        raise RedoxError(
            f"{path}: unknown model format {suffix or 'without suffix'!r}",
            hint=f"known: {', '.join(SUFFIXES)}, each also with .gz",
        ) from None


def _unpacked(path: Path, folder: Path) -> Path:
    plain = folder / path.stem
    with gzip.open(path) as packed, plain.open("wb") as target:
        shutil.copyfileobj(packed, target)
    return plain


def _reader(kind: str) -> Callable[[str], cobra.Model]:
    from cobra import io  # noqa: PLC0415 - cobra takes seconds

    readers: dict[str, Callable[[str], Any]] = {
        "json": io.load_json_model,
        "sbml": io.read_sbml_model,
        "mat": io.load_matlab_model,
        "yaml": io.load_yaml_model,
    }
    return readers[kind]


def _writer(kind: str) -> Callable[[cobra.Model, str], None]:
    from cobra import io  # noqa: PLC0415 - cobra takes seconds

    writers: dict[str, Callable[[cobra.Model, str], None]] = {
        "json": io.save_json_model,
        "sbml": io.write_sbml_model,
        "mat": io.save_matlab_model,
        "yaml": io.save_yaml_model,
    }
    return writers[kind]


@contextmanager
def quiet_cobra() -> Iterator[None]:
    """Silence COBRApy's messages about missing annotations and defaults."""
    logger = logging.getLogger("cobra")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text or type(error).__name__
