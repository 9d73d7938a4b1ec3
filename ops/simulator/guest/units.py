"""Systemd services of a simulated host: unit files, environment files, and the life of a service."""

import asyncio
import contextlib
import os
import re
import shlex
import signal
from dataclasses import dataclass
from pathlib import Path

UNITS = Path("/etc/systemd/system")
JOURNAL = Path("/var/log/journal")
SUFFIX = ".service"
DEFAULT_STOP_S = 90.0
# Signals after which a service counts as ended cleanly, as systemd defines it.
CLEAN_SIGNALS = {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGPIPE}


def read_unit(path: Path) -> dict[str, list[str]]:
    """Return the settings of a unit with its drop-ins; an empty value resets the earlier ones."""
    found: dict[str, list[str]] = {}
    for file in [path, *sorted(Path(f"{path}.d").glob("*.conf"))]:
        for line in file.read_text().splitlines():
            if line.startswith(("#", ";", "[")) or "=" not in line:
                continue
            key, _, value = (part.strip() for part in line.partition("="))
            found[key] = [*found.get(key, []), value] if value else []
    return found


def read_environment(path: Path) -> dict[str, str]:
    """Return the variables of an environment file, unquoted as systemd does: no expansion, few escapes."""
    found = {}
    for line in path.read_text().splitlines():
        key, separator, value = line.partition("=")
        if not separator or line.startswith("#"):
            continue
        if value[:1] == '"':
            value = re.sub(r'\\(["\\`$])', r"\1", value[1:-1])
        found[key] = value[1:-1] if value[:1] == "'" else value
    return found


def words(line: str, environment: dict[str, str]) -> list[str]:
    """Split a command line: `${NAME}` expands within a word, `$NAME` alone into as many words as it has."""
    result = []
    for word in shlex.split(line):
        if alone := re.fullmatch(r"\$(\w+)", word):
            result += shlex.split(environment.get(alone[1], ""))
        else:
            filled = re.sub(r"\$\{(\w+)\}|\$\$", lambda name: environment.get(name[1], "") if name[1] else "$", word)
            result.append(filled)
    return result


def _terminate(process: asyncio.subprocess.Process) -> None:
    """Send SIGTERM to a process and its children, unless it has ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGTERM)


@dataclass
class Unit:
    """A service."""

    name: str  # without the suffix
    state: str = "inactive"  # systemd's ActiveState
    sub: str = "dead"  # systemd's SubState
    result: str = "success"
    main: asyncio.subprocess.Process | None = None  # its main process while that is running
    control: asyncio.subprocess.Process | None = None  # the command that prepares or ends it while that is running
    restarts: int = 0  # automatic ones
    code: int = 0  # exit code of the main process
    task: asyncio.Task[None] | None = None
    stopping: bool = False

    @property
    def path(self) -> Path:
        """Its unit file."""
        return UNITS / f"{self.name}{SUFFIX}"

    @property
    def settings(self) -> dict[str, list[str]]:
        """The current settings of its unit file."""
        return read_unit(self.path)

    def one(self, key: str, default: str = "") -> str:
        """Return a setting that has one value."""
        return (self.settings.get(key) or [default])[-1]

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes."""
        known = dict(os.environ)
        for line in self.settings.get("Environment", []):
            known |= dict(word.split("=", 1) for word in shlex.split(line))
        for name in self.settings.get("EnvironmentFile", []):
            path = Path(name.removeprefix("-"))
            if path.exists() or not name.startswith("-"):
                known |= read_environment(path)
        return known

    async def command(self, line: str) -> asyncio.subprocess.Process:
        """Start one of its commands."""
        output = self.one("StandardOutput").removeprefix("append:")
        log = Path(output) if output.startswith("/") else JOURNAL / f"{self.name}.log"
        environment = self.environment()
        with log.open("ab") as file:
            return await asyncio.create_subprocess_exec(
                *words(line, environment),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    async def run_all(self, key: str) -> int:
        """Run the commands of a setting in order, and return the first exit code that is not 0."""
        for line in self.settings.get(key, []):
            self.control = await self.command(line.removeprefix("-"))
            code = await self.control.wait()
            self.control = None
            if code and not line.startswith("-"):
                return code
        return 0

    def enter(self, state: str, sub: str) -> None:
        """Change its state."""
        self.state, self.sub = state, sub

    async def start(self) -> None:
        """Start it unless it is active; return once its process runs, or it has failed, or a condition is not met."""
        if self.task and not self.task.done():
            return
        self.stopping, self.result, self.code = False, "success", 0
        up = asyncio.Event()
        self.task = asyncio.create_task(self._live(up))
        await up.wait()

    async def _live(self, up: asyncio.Event) -> None:
        try:
            while await self._run_once(up):
                self.enter("activating", "auto-restart")
                await asyncio.sleep(float(self.one("RestartSec", "0.1")))
                if self.stopping:
                    self.enter("inactive", "dead")
                    return
                self.restarts += 1
        finally:
            up.set()

    async def _run_once(self, up: asyncio.Event) -> bool:
        """Run it to its end, and return whether to restart it."""
        self.enter("activating", "start-pre")
        if await self.run_all("ExecCondition"):
            self.result = "exec-condition"
            self.enter("inactive", "dead")
            return False
        if await self.run_all("ExecStartPre"):
            self.code = 1
        elif not self.stopping:
            await self._run_main(up)
        clean = self.code == 0 or self.code in CLEAN_SIGNALS
        if self.stopping or clean:
            self.enter("inactive", "dead")
        else:
            self.result = "signal" if self.code < 0 else "exit-code"
            self.enter("failed", "failed")
        prevented = str(self.code) in self.one("RestartPreventExitStatus").split()
        policy = self.one("Restart", "no")
        return not self.stopping and not prevented and (policy == "always" or (policy == "on-failure" and not clean))

    async def _run_main(self, up: asyncio.Event) -> None:
        self.main = await self.command(self.one("ExecStart"))
        if self.stopping:  # while it was created: `stop` did not see it
            _terminate(self.main)
        self.enter("active", "running")
        up.set()
        self.code = await self.main.wait()
        self.main = None

    async def stop(self) -> None:
        """Stop it, and kill it if that takes longer than its time limit."""
        self.stopping = True
        if not self.task or self.task.done():
            self.enter("inactive", "dead")
            return
        main = self.main
        if main is None:
            if self.sub == "auto-restart":
                self.task.cancel()
                self.enter("inactive", "dead")
            else:  # as systemd does: what prepares it is ended, and it is not started
                if self.control:
                    _terminate(self.control)
                await asyncio.wait([self.task], timeout=DEFAULT_STOP_S)
            return
        self.enter("deactivating", "stop")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(self.one("TimeoutStopSec", str(DEFAULT_STOP_S)))):
                await self.run_all("ExecStop")
                _terminate(main)
                await main.wait()
        if main.returncode is None:
            self.result = "timeout"
            os.killpg(main.pid, signal.SIGKILL)
        await asyncio.wait([self.task])

    def reset_failed(self) -> None:
        """Forget its failures."""
        self.restarts = 0
        if self.state == "failed":
            self.enter("inactive", "dead")

    def properties(self) -> dict[str, str]:
        """Return the properties that `systemctl show` prints."""
        return {
            "ActiveState": self.state,
            "SubState": self.sub,
            "Result": self.result,
            "MainPID": str(self.main.pid if self.main else 0),
            "NRestarts": str(self.restarts),
            "ExecMainStatus": str(abs(self.code)),
        }
