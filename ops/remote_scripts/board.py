"""Has TensorBoard run on the host for half a day: `{"image": name, "runs": folder, "port": number}`."""

import json
import subprocess
import sys

NAME = "redox-tensorboard"
HOURS = "12h"


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    """Run it."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def main(asked: dict[str, str]) -> dict[str, bool]:
    """Start its container unless it is there; it ends by itself, so that nobody has to remember it."""
    running = docker("inspect", "--format", "{{.State.Running}}", NAME)
    if running.stdout.strip() == "true":
        return {"started": False}
    docker("rm", "--force", NAME)
    isolated = ["--read-only", "--tmpfs=/tmp:size=100m", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    where = [f"--volume={asked['runs']}:{asked['runs']}:ro", f"--publish=127.0.0.1:{asked['port']}:{asked['port']}"]
    program = [
        "timeout",
        HOURS,
        "tensorboard",
        "--logdir",
        asked["runs"],
        "--host",
        "0.0.0.0",  # noqa: S104 - of the container
        "--port",
        asked["port"],
    ]
    options = ["--detach", "--rm", "--pull=never", "--name", NAME, *isolated, *where, "--entrypoint=tini"]
    answer = docker("run", *options, asked["image"], "--", *program)
    if answer.returncode:
        sys.exit(f"TensorBoard does not start: {answer.stderr.strip()}")
    return {"started": True}


print(json.dumps(main(json.loads(sys.argv[1]))))
