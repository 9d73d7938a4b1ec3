"""Writes files, each whole or not at all: `{path: text}`."""

import json
import os
import sys
from pathlib import Path


def main(files: dict[str, str]) -> None:
    """Write, flush to disk, then rename."""
    for name, text in files.items():
        path, temporary = Path(name), Path(f"{name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            sys.exit(f"{path} cannot be written: {error.strerror}")


main(json.loads(sys.argv[1]))
print("{}")
