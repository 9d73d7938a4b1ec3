"""Reading and writing model files, and their conversion to a `Network`.

The formats are COBRApy's JSON, SBML, MAT and YAML, each also compressed. What is faulty in published models and has
one certain repair is repaired when a file is read, and reported.
"""

import gc
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from redox_balancer.cell.boundary import find_boundary_species, fold_boundary_species
from redox_balancer.cell.curation import NOTE, Curated, curated, with_names
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.metabolites import mend, metabolites_of, writable
from redox_balancer.cell.model_file import FORMATS, suffixes_of, unpacked
from redox_balancer.cell.names import Names, add_cross_references, names_of
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.repairs import Repairs, UnreadableError, shortened
from redox_balancer.errors import RedoxError
from redox_balancer.files import temporary_folder, written_atomically

if TYPE_CHECKING:
    import cobra

_GROWTH = re.compile("biomass|growth", re.IGNORECASE)
SMALLEST, LARGEST = 1e-100, 1e100  # sizes of coefficients that a model may have, far beyond all that mean anything


@dataclass(frozen=True)
class LoadedModel:
    """A COBRApy model, as published but for the repairs, and one line about each kind of these."""

    model: "cobra.Model"
    repairs: tuple[str, ...]

    def curated(
        self, objective: str | None = None, *, as_published: bool = False, curation: Path | None = None
    ) -> Curated:
        """Return its curated network, whose `repairs` name the curation; arguments are those of `load_network`."""
        network, note = to_network(self.model, objective), str(self.model.notes.get(NOTE, ""))
        known = as_published or (note and curation is None)
        found = Curated(with_names(network, note)) if known else curated(network, curation)
        about = found.summary or (note and f"curation {note}, already in this model")
        repairs = (*self.repairs, *network.repairs, *([about] if about else []))
        return found._replace(network=replace(found.network, repairs=repairs))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause garbage collection: to look at a million new objects again and again takes a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def load_model(path: Path) -> LoadedModel:
    """Read a model file and repair what has one certain repair; a RedoxError says what else is wrong with it.

    It is JSON, SBML, MAT or YAML, plain or compressed by gzip, bzip2, xz or zip: the content decides, not the suffix.
    """
    repairs = Repairs()
    try:
        model = _read(path, repairs)
    except MemoryError:
        raise
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and str(error.filename) == str(path):
            raise RedoxError(
                f"no model file {path}", hint="check the path, or fetch a public model", settings=("model",)
            ) from error
        problem = f"cannot read {path}: {error.strerror or error}"
        raise RedoxError(problem, hint="check the file, permissions and TMPDIR") from error
    except Exception as error:
        # The readers pass on any error of their parsers (KeyError, lxml and SciPy errors ...).
        raise RedoxError(
            f"cannot read {path}: {_first_line(error)}",
            hint=getattr(error, "hint", "export the model again with the program that it came from"),
        ) from error
    add_cross_references(model, path.parent)
    return LoadedModel(model, repairs.lines + fold_boundary_species(model))


def _read(path: Path, repairs: Repairs) -> "cobra.Model":
    path.stat()
    from redox_balancer.cell.cobrapy import quiet_cobra  # noqa: PLC0415 - takes seconds
    from redox_balancer.cell.formats import READERS  # noqa: PLC0415

    with temporary_folder("redox-model-") as folder, quiet_cobra():
        kind, content = unpacked(path, folder, repairs)
        model = READERS[kind](content, folder, repairs)
        mend(model, repairs)
    return model


def save_model(model: "cobra.Model", path: Path) -> None:
    """Write a model in the format of the suffix; `.gz` compresses.

    An existing file is replaced only when the new one is complete. A RedoxError if the suffix is unknown, the file
    cannot be written, or the format cannot hold the model.
    """
    from redox_balancer.cell.cobrapy import quiet_cobra  # noqa: PLC0415 - takes seconds
    from redox_balancer.cell.formats import WRITERS  # noqa: PLC0415

    kind = format_to_write(path)
    with temporary_folder("redox-model-") as folder, written_atomically(path) as target, quiet_cobra():
        packs = path.suffix.lower() == ".gz"
        plain = folder / f"model.{kind}" if packs else target
        try:
            WRITERS[kind](writable(model), plain)
        except (MemoryError, OSError):
            raise
        except Exception as error:
            # The writers pass on any error of their libraries (TypeError of libSBML, ValueError of json ...).
            raise RedoxError(
                f"cannot write {path} as a {kind.upper()} model: {_first_line(error)}",
                hint=getattr(error, "hint", "write another format, or check the model for missing or odd values"),
            ) from error
        if packs:  # without the time in the header equal models give identical files
            target.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))


def format_to_write(path: Path) -> str:
    """Return the format that the suffix of a file names; a RedoxError if it names none that can be written."""
    suffix, packed = suffixes_of(path)
    if suffix.lower() not in FORMATS or packed.lower() not in ("", ".gz"):
        raise RedoxError(
            f"{path}: unknown model format {(suffix + packed) or 'without suffix'!r}",
            hint=f"known: {', '.join(FORMATS)}, each also with .gz",
        )
    return FORMATS[suffix.lower()]


def to_network(model: "cobra.Model", objective: str | None = None) -> Network:
    """Convert a COBRApy model, with bounds in mmol/gDW/h, to a `Network`.

    Charges and formulas are repaired in the network, as `load_model` does; the model is not changed. `objective` is
    the reaction whose flux is growth, by id or BiGG name; by default the model's own objective. A RedoxError if the
    model has no such reaction, its objective does not consist of exactly one, a charge is a text that is no number,
    or no flux can have a coefficient or a bound.
    """
    objective, repairs = _growth_reaction(model) if objective is None else (objective, ())
    try:
        known = metabolites_of(model, Repairs())
    except UnreadableError as error:
        raise RedoxError(f"model {model.id or 'without id'}: {error}", hint=error.hint) from error
    reactions = [Column(r.id, {m.id: float(v) for m, v in r.metabolites.items()}, *r.bounds) for r in model.reactions]
    metabolites = [(m.id, known.formulas.get(m.id), known.charges.get(m.id)) for m in model.metabolites]
    network = _network(str(model.id or "model"), metabolites, reactions, objective, names_of(model))
    return replace(network, repairs=(*repairs, *network.names.assumptions))


def _growth_reaction(model: "cobra.Model") -> tuple[str, tuple[str, ...]]:
    """Find the growth reaction in the objective of a model, and what the objective says otherwise, one line each.

    Growth is the flux of one reaction, and it is maximised. An objective that says otherwise (a minimum, or a
    coefficient other than 1) is read as the choice of that reaction alone. A RedoxError if it does not consist of
    exactly one reaction.
    """
    from redox_balancer.cell.cobrapy import cobra  # noqa: PLC0415 - takes seconds

    coefficients = cobra.util.solver.linear_reaction_coefficients(model)
    found = {reaction.id: weight for reaction, weight in coefficients.items()}
    if len(found) != 1:
        likely = [r.id for r in model.reactions if _GROWTH.search(r.id) or _GROWTH.search(r.name or "")]
        named = shortened(sorted(found)) or "none"
        raise RedoxError(
            f"model {model.id or 'without id'} needs one objective reaction, it has {len(found)} ({named})",
            hint=f"specify the growth reaction{f', such as {shortened(likely)}' if likely else ''}",
            settings=("biomass",),
        )
    ((reaction, weight),) = found.items()
    if model.objective_direction == "min":
        weight = -weight  # the least of -v is the largest v
    if weight == 1.0:
        return reaction, ()
    said = f"has the coefficient {weight:g}" if weight > 0 else "is minimised"
    return reaction, (f"objective {reaction} {said} in the file; its flux is growth here, and maximised",)


def load_network(
    source: "Path | cobra.Model | None" = None,
    *,
    objective: str | None = None,
    as_published: bool = False,
    curation: Path | None = None,
) -> Network:
    """Load a network; a RedoxError as in `load_model`, `to_network` and `curation.curated`.

    Parameters
    ----------
    source
        Model file or COBRApy model; by default the embedded human redox core, which is read without COBRApy.
    objective
        The reaction whose flux is growth; by default the model's own objective.
    as_published
        Leave out the packaged curation of a published model that is recognised.
    curation
        Curation file to apply instead of a packaged one.
    """
    if source is not None:
        loaded = load_model(source) if isinstance(source, Path) else in_memory(source)
        return loaded.curated(objective, as_published=as_published, curation=curation).network
    core = _embedded_network()
    if curation is not None:
        found = curated(core, curation)
        core = replace(found.network, repairs=tuple(filter(None, [found.summary])))
    return core if objective is None else core.with_objective(objective)


def in_memory(model: "cobra.Model") -> LoadedModel:
    """Return a COBRApy model, a copy if it has boundary species, which `load_model` leaves out as well."""
    if find_boundary_species(model):
        model = model.copy()
    folded, repairs = fold_boundary_species(model), Repairs()
    metabolites_of(model, repairs)  # what `to_network` repairs; in a file it is repaired on reading
    return LoadedModel(model, folded + repairs.lines)


@cache
def _embedded_network() -> Network:
    document = json.loads(core_json().read_text(encoding="utf-8"))
    return _network(
        document["id"],
        [(m["id"], m["formula"], m["charge"]) for m in document["metabolites"]],
        [Column(r["id"], r["metabolites"], r["lower_bound"], r["upper_bound"]) for r in document["reactions"]],
        next(r["id"] for r in document["reactions"] if r.get("objective_coefficient")),
        Names(
            compartments={m["id"]: m["compartment"] for m in document["metabolites"]},
            in_words={r["id"]: r["name"] for r in document["reactions"]},
        ),
    )


def _network(
    name: str,
    metabolites: Sequence[tuple[str, str | None, float | None]],
    reactions: Sequence[Column],
    objective: str,
    names: Names,
) -> Network:
    network = replace(
        Network.of(name, reactions, metabolites=[metabolite for metabolite, _, _ in metabolites]),
        formulas={metabolite: formula for metabolite, formula, _ in metabolites if formula},
        charges={metabolite: int(charge) for metabolite, _, charge in metabolites if charge is not None},
        names=names,
    )
    _check_numbers(network)
    return network.with_objective(objective)


def _check_numbers(network: Network) -> None:
    """Refuse what the solvers would take for anything: SBML and models in memory may have any number."""
    # GLPK ends the process where its scale factors leave the range of a float.
    sizes = np.abs(network.data)
    for entry in np.flatnonzero(~((sizes == 0) | ((sizes > SMALLEST) & (sizes < LARGEST))))[:1]:
        raise RedoxError(
            f"model {network.id}: the coefficient of {network.metabolites[network.indices[entry]]} in reaction "
            f"{network.reactions[network.column_of[entry]]} is {network.data[entry]:g}",
            hint=f"write a number between {SMALLEST:g} and {LARGEST:g}",
        )
    low, high = network.lower, network.upper
    for column in np.flatnonzero(~((low <= high) & (low < np.inf) & (high > -np.inf)))[:1]:
        raise RedoxError(
            f"model {network.id}: reaction {network.reactions[column]} has the bounds {low[column]:g} and "
            f"{high[column]:g}",
            hint="give it bounds between which a flux lies",
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text or type(error).__name__
