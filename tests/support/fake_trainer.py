"""Stand-in for the Docker client on a host: `docker run` behaves like the trainer's container as seen from outside.

It writes a heartbeat and metrics, saves and ends by SIGTERM, and runs until its steps are done. Files in the data
folder control it: `endless` (train without end), `crash` (fail at the start), `no-image` (no image on the host). The
arguments of `docker run` and `docker image` are recorded beside the run, and in the data folder.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

DATA = Path("/data")
STEPS, STEPS_PER_UPDATE, UPDATE_S = 1_000, 50, 0.1


class Trainer:
    """A training that has no content but its heartbeat."""

    def __init__(self, run: Path) -> None:
        self.run, self.step = run, 0
        now = time.time()
        self.beat: dict[str, Any] = {
            "pid": 7,
            "host": "box",
            "timesteps": STEPS,
            "steps_per_s": 50.0,
            "actors_alive": 2,
            "actor_bytes": 400_000_000,
            "growth_bytes_per_s": 1_000.0,
            "checkpoint_step": 50,
            "checkpoint_at": now,
            "pushed_step": 50,
            "pushed_at": now,
        }

    def write(self, status: str) -> None:
        now = time.time()
        text = json.dumps(self.beat | {"step": self.step, "status": status, "written_at": now, "updated_at": now})
        (self.run / "heartbeat.new").write_text(text)
        (self.run / "heartbeat.new").rename(self.run / "heartbeat.json")

    def end(self, *_: object) -> None:
        self.write("stopped")
        sys.exit(0)

    def train(self) -> None:
        signal.signal(signal.SIGTERM, self.end)
        metrics = self.run / "metrics.csv"
        metrics.write_text("steps,steps_per_s,return_mean,seconds\n")
        while self.step < STEPS or (DATA / "endless").exists():
            self.step += STEPS_PER_UPDATE
            with metrics.open("a") as rows:
                rows.write(f"{self.step},50.0,0.25,1.0\n")
            self.write("training")
            time.sleep(UPDATE_S)
        self.write("finished")


def main(words: list[str]) -> None:
    if words[0] == "image":
        (DATA / "image.json").write_text(json.dumps(words))
        sys.exit((DATA / "no-image").exists())
    if words[0] != "run":
        return
    run = DATA / "experiments" / os.environ["REDOX_RUN"]
    run.mkdir(parents=True, exist_ok=True)
    (run / "words.json").write_text(json.dumps(words))
    print("training", run.name, flush=True)  # noqa: T201 - its log
    if (DATA / "crash").exists():
        print("ray does not start", flush=True)  # noqa: T201 - its log
        sys.exit(2)
    Trainer(run).train()


if __name__ == "__main__":
    main(sys.argv[1:])
