"""Escher's own schema of a map, from its package; it needs an older pytest, so it is fetched and not installed."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from commands import ran

PACKAGE = "Escher==1.8.1"
SCHEMA = "escher/static/jsonschema/1-0-0"


@pytest.fixture(scope="session")
def escher(tmp_path_factory: pytest.TempPathFactory) -> jsonschema.Draft4Validator:
    """Validator of maps."""
    folder: Path = tmp_path_factory.mktemp("escher")
    answer = ran(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", folder, PACKAGE]
    )
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        pytest.skip(f"{PACKAGE} cannot be fetched: {answer.stderr.strip().splitlines()[-1:]}")
    with zipfile.ZipFile(wheels[0]) as package:
        schema: dict[str, Any] = json.loads(package.read(SCHEMA))
    return jsonschema.Draft4Validator(schema)
