"""Runs a command with kernel switches set: `{"switches": {name: value}, "command": [...], "folder": path, "uid": n}`.

A second process, which nothing that ends this one reaches, sets them back when this one is gone, however it went.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

GUARD = """
import json, pathlib, sys
sys.stdin.buffer.read()
for path, value in json.loads(sys.argv[1]).items():
    pathlib.Path(path).write_text(value)
"""


def main(asked: dict[str, object]) -> dict[str, str]:
    """Note the switches, have them guarded, set them, run."""
    switches: dict[str, str] = asked["switches"]  # type: ignore[assignment]
    paths = {Path("/proc/sys", *name.split(".")): value for name, value in switches.items()}
    before = {str(path): path.read_text().strip() for path in paths if path.exists()}
    folder = Path(str(asked["folder"]))
    folder.mkdir(exist_ok=True)
    os.chown(folder, int(str(asked["uid"])), int(str(asked["uid"])))
    guard = subprocess.Popen(
        [sys.executable, "-I", "-c", GUARD, json.dumps(before)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        for path, value in paths.items():
            if str(path) in before:
                path.write_text(value)
        command: list[str] = asked["command"]  # type: ignore[assignment]
        # Not its stdin, which must not keep the guard's pipe open.
        answer = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    finally:
        if guard.stdin:
            guard.stdin.close()
        guard.wait()
    if answer.returncode:
        sys.exit((answer.stderr.strip() or f"exit code {answer.returncode}").splitlines()[-1])
    return {"said": answer.stdout}


print(json.dumps(main(json.loads(sys.argv[1]))))
