"""Starts a run: `{"path": file of the unit, "text": its content, "unit": name}`; of two at once only one does it.

Answers `{"busy": state}` where the unit is at work, and then changes nothing.
"""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

LOCK = Path("/run/redox-start.lock")
AT_WORK = ("active", "activating", "reloading", "deactivating")


def systemctl(*words: str) -> str:
    """Run it; what it says goes to the user where it fails."""
    answer = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if answer.returncode and words[0] not in ("is-active", "reset-failed"):
        sys.exit(f"systemctl {' '.join(words)}: {(answer.stderr or answer.stdout).strip()}")
    return answer.stdout.strip()


def main(asked: dict[str, str]) -> dict[str, str]:
    """Write what the unit reads, whole or not at all, and start it."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = systemctl("is-active", asked["unit"])
        if state in AT_WORK:
            return {"busy": state}
        path = Path(asked["path"])
        temporary = path.with_name(f"{path.name}.new")
        try:
            with temporary.open("w") as file:
                file.write(asked["text"])
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            sys.exit(f"{path} cannot be written: {error.strerror}")
        systemctl("reset-failed", asked["unit"])
        systemctl("start", "--no-block", asked["unit"])
        return {"busy": ""}


print(json.dumps(main(json.loads(sys.argv[1]))))
