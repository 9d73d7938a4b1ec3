"""Run a command with kernel switches set: `{"switches": {name: value}, "command": [...], "folder": path, "uid": n}`.

A second process, which survives whatever ends this one, restores the switches once this one has ended.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

RESTORE = """
import json, pathlib, sys
sys.stdin.buffer.read()
for path, value in json.loads(sys.argv[1]).items():
    pathlib.Path(path).write_text(value)
"""


def main(request: dict[str, object]) -> dict[str, str]:
    """Record the switches, start the process that restores them, set them, run the command."""
    switches: dict[str, str] = request["switches"]  # type: ignore[assignment]
    paths = {Path("/proc/sys", *name.split(".")): value for name, value in switches.items()}
    before = {str(path): path.read_text().strip() for path in paths if path.exists()}
    folder = Path(str(request["folder"]))
    folder.mkdir(exist_ok=True)
    os.chown(folder, int(str(request["uid"])), int(str(request["uid"])))
    restorer = subprocess.Popen(
        [sys.executable, "-I", "-c", RESTORE, json.dumps(before)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        for path, value in paths.items():
            if str(path) in before:
                path.write_text(value)
        command: list[str] = request["command"]  # type: ignore[assignment]
        # No stdin: inherited, it would keep the restorer's pipe open.
        answer = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    finally:
        if restorer.stdin:
            restorer.stdin.close()
        restorer.wait()
    if answer.returncode:
        sys.exit((answer.stderr.strip() or f"exit code {answer.returncode}").splitlines()[-1])
    return {"output": answer.stdout}


print(json.dumps(main(json.loads(sys.argv[1]))))
