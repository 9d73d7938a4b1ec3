"""Start the unit of a run: `{"path": file, "text": its content, "unit": name, "active": states of an active unit}`.

Answers `{"busy": state}`; if the unit is active, nothing is changed. Of two starts at once, one succeeds.
"""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path("/run/redox-start.lock")


def systemctl(*words: str) -> str:
    """Run systemctl; its error is ours."""
    answer = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if answer.returncode and words[0] not in ("is-active", "reset-failed"):
        sys.exit(f"systemctl {' '.join(words)}: {(answer.stderr or answer.stdout).strip()}")
    return answer.stdout.strip()


def main(request: dict[str, Any]) -> dict[str, str]:
    """Replace the file that the unit reads, atomically, and start the unit."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = systemctl("is-active", request["unit"])
        if state in request["active"]:
            return {"busy": state}
        path = Path(request["path"])
        temporary = path.with_name(f"{path.name}.new")
        try:
            with temporary.open("w") as file:
                file.write(request["text"])
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            sys.exit(f"{path} cannot be written: {error.strerror}")
        systemctl("reset-failed", request["unit"])
        systemctl("start", "--no-block", request["unit"])
        return {"busy": ""}


print(json.dumps(main(json.loads(sys.argv[1]))))
