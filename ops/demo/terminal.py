"""Running commands as a user does: each is shown with its output and its duration, and logged."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infra.deployed import CDK
from infra.settings import ROOT
from redox_balancer.errors import RedoxError

# Output of the CDK and of progress bars that the terminal does not show; the log has all of it.
NOISE = re.compile(
    r"^\S+ *\| *(\d+/\d+|\d+ Currently)|^\s*\S+ \| |deprecat|: (start|success): |^ *Redox\w+$|ExportsOutput|^b'!!",
    re.IGNORECASE,
)

END_S = 30.0  # for a command that is interrupted
# Of every command; warnings about the version of node are of no interest here.
SHOWN = {"COLUMNS": "110", "NO_COLOR": "1", "NODE_NO_WARNINGS": "1"}


@dataclass(frozen=True)
class Step:
    """A command and its duration, s."""

    command: str
    seconds: float


@dataclass
class Terminal:
    """Runs the commands of a story."""

    folder: Path  # of all its files
    show: Callable[[str], None]  # prints a line
    environment: Mapping[str, str]  # of the commands
    steps: list[Step] = field(default_factory=list)  # the commands run so far

    @property
    def log(self) -> Path:
        """The output of every command."""
        return self.folder / "commands.log"

    def cdk(self, *arguments: object) -> str:
        """Run the command line of the CDK."""
        return self.run(CDK, *arguments)

    def python(self, module: str, *arguments: object, expected: int = 0) -> str:
        """Run a module of this clone."""
        return self.run("python", "-m", module, *arguments, expected=expected)

    def run(self, *words: object, expected: int = 0) -> str:
        """Run a command as a user does, show its output, and return it."""
        typed = " ".join(str(word).replace(f"{ROOT}/", "").replace(f"{self.folder}/", "") for word in words)
        self.show(f"\n$ {typed}")
        command = [sys.executable if word == "python" else str(word) for word in words]
        started, output = time.monotonic(), list[str]()
        with (
            self.log.open("a") as log,
            subprocess.Popen(  # noqa: S603 - our own commands
                command,
                cwd=ROOT,
                env={**self.environment, **SHOWN},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            log.write(f"$ {typed}\n")
            assert process.stdout  # noqa: S101 - a pipe
            try:
                for line in process.stdout:
                    output.append(line)
                    log.write(line)
                    if line.strip() and not NOISE.search(line):
                        self.show(f"  {line.rstrip()}")
            except BaseException:  # Ctrl-C or SIGTERM reached this process only; a deployment must not go on alone
                started_by_it = psutil.Process(process.pid).children(recursive=True)
                for each in started_by_it:
                    each.terminate()
                process.terminate()
                psutil.wait_procs(started_by_it, timeout=END_S)
                raise
        seconds = time.monotonic() - started
        self.show(f"  ({seconds:.1f} s)")
        self.steps.append(Step(typed, seconds))
        if process.returncode != expected:
            raise RedoxError(
                f"{typed} failed with exit code {process.returncode}: {' | '.join(output[-3:]).strip()}",
                hint=f"see {self.log}",
            )
        return "".join(output)
