"""Run TensorBoard on the host for twelve hours: `{"image": name, "runs": folder, "port": number}`."""

import json
import subprocess
import sys

NAME = "redox-tensorboard"
LIFETIME = "12h"


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the Docker client."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def main(request: dict[str, str]) -> dict[str, bool]:
    """Start its container unless it is running. It stops by itself."""
    running = docker("inspect", "--format", "{{.State.Running}}", NAME)
    if running.stdout.strip() == "true":
        return {"started": False}
    docker("rm", "--force", NAME)
    port, runs = request["port"], request["runs"]
    isolated = ["--read-only", "--tmpfs=/tmp:size=100m", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    mounts = [f"--volume={runs}:{runs}:ro", f"--publish=127.0.0.1:{port}:{port}"]
    options = ["--detach", "--rm", "--pull=never", "--name", NAME, *isolated, *mounts, "--entrypoint=tini"]
    any_address = "0.0.0.0"  # noqa: S104 - within the container
    program = ["timeout", LIFETIME, "tensorboard", "--logdir", runs, "--host", any_address, "--port", port]
    answer = docker("run", *options, request["image"], "--", *program)
    if answer.returncode:
        sys.exit(f"TensorBoard does not start: {answer.stderr.strip()}")
    return {"started": True}


print(json.dumps(main(json.loads(sys.argv[1]))))
