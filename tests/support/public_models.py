"""What `redox model info` says of a model file, beside COBRApy's own reading and HiGHS; one process for each."""

import bz2
import gzip
import json
import logging
import lzma
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import REDOX

SUFFIXES = {".json", ".xml", ".sbml", ".mat", ".yml", ".yaml"}
PACKED = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SAID_S, HARD_S, SAID_MB = 120.0, 300.0, 3000.0
TOLERANCE = 1e-6
OUTSIDE = "boundary species"


@dataclass(frozen=True)
class Answer:
    """Exit code and streams of a command, its wall time and the peak of its resident memory."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    megabytes: float


def measured(*command: object, limit_s: float = HARD_S) -> Answer:
    """Run a command to its end, or kill it after `limit_s`: its code is then -9."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen([*map(str, command)], stdout=out, stderr=errors)
        killer = threading.Timer(limit_s, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        out.seek(0)
        errors.seek(0)
        return Answer(process.returncode, out.read(), errors.read(), seconds, usage.ru_maxrss / 1024)


def model_files(folder: Path) -> list[Path]:
    """All files of the model formats in a folder and below it, small ones first."""
    found = (file for file in folder.rglob("*") if file.is_file() and SUFFIXES & set(file.suffixes[-2:]))
    return sorted(found, key=lambda file: (file.stat().st_size, file))


def cobrapy_growth(path: Path) -> dict[str, Any]:
    """Growth in 1/h as COBRApy reads the file and GLPK solves it, and HiGHS's answer to the same problem.

    Growth is the objective over its coefficient where it consists of one reaction.
    """
    import cobra  # noqa: PLC0415 - takes a second
    import numpy as np  # noqa: PLC0415
    from cobra.util.array import create_stoichiometric_matrix  # noqa: PLC0415
    from cobra.util.solver import linear_reaction_coefficients  # noqa: PLC0415
    from scipy.optimize import linprog  # noqa: PLC0415

    readers = {"json": cobra.io.load_json_model, "mat": cobra.io.load_matlab_model}
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        if path.suffix in PACKED:  # COBRApy unpacks SBML only
            plain = Path(folder) / path.stem
            plain.write_bytes(PACKED[path.suffix](path).read())
            path = plain
        kind = path.suffix[1:]
        yaml = cobra.io.load_yaml_model if kind in ("yml", "yaml") else cobra.io.read_sbml_model
        model = readers.get(kind, yaml)(str(path))
    objective = linear_reaction_coefficients(model)
    scale = next(iter(objective.values())) if len(objective) == 1 else 1.0
    value = model.slim_optimize()
    sign = -1.0 if model.objective_direction == "max" else 1.0
    arbiter = linprog(
        [sign * objective.get(reaction, 0.0) for reaction in model.reactions],
        A_eq=create_stoichiometric_matrix(model, array_type="lil").tocsr(),
        b_eq=np.zeros(len(model.metabolites)),
        bounds=[reaction.bounds for reaction in model.reactions],
        method="highs",
    )
    return {
        "reactions": len(model.reactions),
        "objectives": len(objective),
        "cobrapy": None if np.isnan(value) else value / scale,
        "highs": sign * arbiter.fun / scale if arbiter.status == 0 else None,
    }


def compared(path: Path) -> dict[str, Any]:
    """One row: what both say of a file, and in `fault` what is wrong with ours, or `None`."""
    ours = measured(REDOX, "model", "info", path, "--json")
    theirs = measured(sys.executable, __file__, path)
    try:
        said = json.loads(ours.stdout or "{}")
    except json.JSONDecodeError:
        said = {}
    read = json.loads(theirs.stdout.splitlines()[-1]) if theirs.code == 0 else {}
    unread = (theirs.stderr.strip().splitlines() or [f"exit code {theirs.code}"])[-1][:120]
    refusal = next((line for line in ours.stderr.splitlines() if line.startswith("error:")), "")
    # Where COBRApy balances the species outside of the cell, nothing grows.
    outside = [line for line in said.get("repairs", ()) if OUTSIDE in line]
    return {
        "reactions": said.get("reactions", read.get("reactions")),
        "growth": said.get("growth"),
        "cobrapy": read.get("cobrapy"),
        "highs": read.get("highs"),
        "placements": len(said.get("placements", ())) if said.get("growth") else None,
        "seconds": round(ours.seconds, 1),
        "megabytes": round(ours.megabytes),
        "code": ours.code,
        "remark": " ".join([refusal, *outside, *([] if read else [f"COBRApy: {unread}"])]).strip(),
        "fault": fault(ours, said.get("growth"), {} if outside and not read.get("highs") else read)
        or (None if said or not ours.stdout else "--json is no JSON"),
    }


def fault(ours: Answer, growth: float | None, read: Mapping[str, Any]) -> str | None:
    """What is wrong with ours: a crash, a refusal of more than a line, another growth, too much time or memory."""
    refusal = [line.split(":")[0] for line in ours.stderr.splitlines()[-2:]]
    if ours.code not in (0, 2) or "Traceback" in ours.stderr or (ours.code == 2 and refusal != ["error", "hint"]):
        return f"exit code {ours.code}: {ours.stderr.strip()[-200:]}"
    if ours.seconds > SAID_S or ours.megabytes > SAID_MB:
        return f"{ours.seconds:.0f} s and {ours.megabytes:.0f} MB"
    # GLPK as COBRApy drives it calls some feasible problems infeasible: HiGHS is then the judge.
    judges = [read[name] for name in ("cobrapy", "highs") if name in read]
    if growth is not None and judges and min(_difference(growth, judge) for judge in judges) > TOLERANCE:
        return f"growth {growth}, COBRApy {read['cobrapy']}, HiGHS {read['highs']}"
    return None


def _difference(ours: float, theirs: float | None) -> float:
    """Relative difference, above the 1e-9 to which solvers agree; no solution, or a negative one, is no growth."""
    other = max(theirs or 0.0, 0.0)
    return abs(ours - other) / max(abs(ours), other, 1e-9 / TOLERANCE)


if __name__ == "__main__":
    print(json.dumps(cobrapy_growth(Path(sys.argv[1]))))  # noqa: T201
