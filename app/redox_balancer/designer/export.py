"""Export of a design to a folder of files for other programs, each checked before it is moved there.

COBRApy reads both exported models back and must reproduce growth and capacity of the design; the SBML must pass the
checks of libSBML. All files are written to a temporary folder first, so the target never holds a partial file;
`design.json` is moved last.
"""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from redox_balancer.cell.cobrapy import cobra, quiet_cobra
from redox_balancer.cell.models import save_model
from redox_balancer.designer import figures
from redox_balancer.designer.design import Design, check_agreement
from redox_balancer.designer.model import DesignedCell, largest_capacity, largest_growth
from redox_balancer.designer.redox_map import RedoxMap
from redox_balancer.errors import RedoxError
from redox_balancer.files import temporary_folder
from redox_balancer.progress import Progress, no_progress
from redox_balancer.version import __version__

GROUP = "redox_construct"  # id of the group, in the SBML, of the reactions that the construct adds or over-expresses

FILES = {
    "model.xml": "the designed model, SBML level 3 with fbc",
    "model.json": "the same for COBRApy and Escher",
    "fluxes.json": "parsimonious fluxes at largest growth, {reaction: flux}, as Escher loads them",
    "fluxes_at_capacity.json": "the same at the capacity, growth at the floor",
    "fluxes_without.json": "the same without the construct",
    "envelope.svg": "smallest and largest capacity at each growth",
    "envelope.png": "the same as pixels",
    "ratios.svg": "growth against NAD+/NADH, without and with the construct (embedded core)",
    "map.svg": "fluxes at largest growth on the map of cytosol and mitochondrion, where the model has its reactions",
    "map.json": "the same map for Escher, which loads fluxes.json on it",
    "construct.csv": "the placements: enzyme, EC, UniProt, organism, protein, kcat",
    "flux_ranges.csv": "fluxes and ranges of inserted and NAD(P)H-linked reactions",
    "design.json": "everything, with units and sources",
}


def export(cell: DesignedCell, design: Design, folder: Path, *, progress: Progress = no_progress) -> list[str]:
    """Write a design to a folder and return the names of the files, `design.json` last.

    Files of an earlier design in it are replaced or removed. A RedoxError where the folder is not writable, or an
    exported model does not reproduce growth and capacity of the design.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(within=folder) as made:
            _write_all(cell, design, made, progress)
            written = [name for name in FILES if (made / name).exists()]
            for name in FILES:
                if name in written:
                    shutil.move(made / name, folder / name)
                else:
                    (folder / name).unlink(missing_ok=True)
    except (OSError, RedoxError) as error:
        cause = error.__cause__ if isinstance(error, RedoxError) else error
        if not isinstance(cause, OSError):
            raise
        raise RedoxError(
            f"cannot write to {folder}: {cause.strerror or cause}",
            hint="check the path, its permissions and the free disk space",
        ) from error
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return written


def verify_model(path: Path, cell: DesignedCell, design: Design) -> dict[str, Any]:
    """Read an exported model with COBRApy and compare its growth and capacity with those of the design.

    They are returned, with the number of libSBML's warnings for SBML; a RedoxError if they differ, or the file is not
    valid.
    """
    answer: dict[str, Any] = {}
    with quiet_cobra():
        if path.suffix == ".xml":
            model, findings = cobra.io.validate_sbml_model(str(path))
            faults = [text for kind, texts in findings.items() if "WARNING" not in kind for text in texts]
            if model is None or faults:
                raise RedoxError(
                    f"the SBML of this design is not valid: {(faults or ['it cannot be read'])[0]}",
                    hint="the identifiers or bounds of the model do not fit SBML: try the model as JSON",
                )
            answer["sbml_warnings"] = sum(len(texts) for texts in findings.values())
        else:
            model = cobra.io.load_json_model(str(path))
    exported = replace(cell, model=model)
    growth = largest_growth(exported)
    capacity = largest_capacity(exported, growth)
    check_agreement(f"COBRApy from {path.name}", growth, capacity, design.proposal.outcome)
    return answer | {"growth": growth, "capacity": capacity}


def _write_all(cell: DesignedCell, design: Design, folder: Path, progress: Progress) -> None:
    analysis = design.analysis
    _annotate(cell)
    checks = {}
    for name in ("model.xml", "model.json"):
        progress(f"writing and checking {name}")
        save_model(cell.model, folder / name)
        checks[name] = verify_model(folder / name, cell, design)
    for name in ("fluxes", "fluxes_at_capacity", "fluxes_without"):
        if (fluxes := getattr(analysis, name)) is not None:
            (folder / f"{name}.json").write_text(json.dumps(fluxes, indent=0))
    if analysis.envelope is not None:
        drawing = figures.envelope(design)
        (folder / "envelope.svg").write_text(drawing.svg(), encoding="utf-8")
        (folder / "envelope.png").write_bytes(drawing.png())
    progress("growth against the ratios")
    if (ratios := figures.ratios(design.proposal)) is not None:
        (folder / "ratios.svg").write_text(ratios.svg(), encoding="utf-8")
    if (drawn := RedoxMap.if_any(design)) is not None:
        drawn.save(folder / "map.svg")
        drawn.save_escher(folder / "map.json")
    pd.DataFrame(_construct_rows(design)).to_csv(folder / "construct.csv", index=False)
    analysis.to_frame().to_csv(folder / "flux_ranges.csv", float_format="%.9g")
    files = {name: text for name, text in FILES.items() if name == "design.json" or (folder / name).exists()}
    answer = design.data() | {"capacity_objective": dict(cell.capacity), "checked": checks, "files": files}
    answer["cobrapy"] = checks["model.json"]
    (folder / "design.json").write_text(json.dumps(answer, indent=1, allow_nan=False) + "\n")


def _annotate(cell: DesignedCell) -> None:
    """Describe the design in the model itself, for a reader who has nothing but that file."""
    condition = cell.condition
    model: cobra.Model = cell.model
    model.id = re.sub(r"\W", "_", f"{cell.space.network.id}_{condition.id}")
    members = [model.reactions.get_by_id(placement.reaction) for placement in cell.placements]
    if members and GROUP not in model.groups:
        model.add_groups(
            [cobra.core.Group(GROUP, name="inserted and over-expressed", members=members, kind="collection")]
        )
    capacity = " ".join(f"{weight:+g} {reaction}" for reaction, weight in cell.capacity.items()) or "none"
    model.notes |= {
        "made by": f"redox_balancer {__version__}",
        "condition": f"{condition.id}: {condition.description}",
        "growth": f"objective value, 1/h: biomass flux x {cell.keep:.9g}, the share of growth left after expression",
        "capacity": f"largest {capacity} with an objective value of at least {cell.floor:.9g}",
    }


def _construct_rows(design: Design) -> list[dict[str, Any]]:
    names = ("ec", "uniprot", "organism", "compartment", "reaction")
    numbers = ("proteome_fraction", "protein_mg_per_gdw", "flux_cap_mmol_gdw_h")
    return [
        {"placement": row["placement"], "enzyme": row["name"]}
        | {name: row[name] or "" for name in names}
        | {name: row[name] for name in numbers}
        | {
            f"{name}{suffix}": parameter[part]
            for name, parameter in row["figures"].items()
            for suffix, part in (("", "value"), ("_source", "source"), ("_confidence", "confidence"))
        }
        for row in design.proposal.placed
    ]
