"""`redox model info` on every model file of a folder, beside COBRApy: `make drills DRILL=models MODELS=dir`."""

import csv
import os
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from public_models import compared, model_files

FOLDER = os.environ.get("REDOX_MODELS", "")
TABLE = os.environ.get("REDOX_MODELS_TABLE", "")


@pytest.mark.timeout(0)  # each file has its own limit
def test_every_model_of_a_folder_gives_cobrapys_growth_or_one_line() -> None:
    if not FOLDER:
        pytest.skip("no folder of model files: make drills DRILL=models MODELS=dir")
    files = model_files(Path(FOLDER))
    assert files, f"no model files in {FOLDER}"
    console = Console(width=None if Console().is_terminal else 220, highlight=False)
    rows = []
    for file in files:
        row = {"file": str(file.relative_to(FOLDER))} | compared(file)
        rows.append(row)
        console.print(f"{len(rows)}/{len(files)} {row['file']}: {row['fault'] or 'ok'}", markup=False)
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:.7g}" if isinstance(value, float) else str(value or "") for value in row.values()))
    console.print(table)
    if TABLE:
        with Path(TABLE).open("w", newline="", encoding="utf-8") as target:
            writer = csv.DictWriter(target, rows[0], delimiter="\t")
            writer.writeheader()
            writer.writerows(rows)
    faults = {row["file"]: row["fault"] for row in rows if row["fault"]}
    refused = sum(row["growth"] is None for row in rows)
    console.print(f"{len(rows)} files, {refused} refused, {len(faults)} with a fault")
    assert not faults
