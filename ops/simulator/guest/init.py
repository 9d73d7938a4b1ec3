"""First process of a host: what systemd and cloud-init do there, as far as this deployment needs it.

Runs sshd and the user data, keeps the units of /etc/systemd/system (services with conditions, restarts and their
limit), and answers `systemctl` on a socket. SIGTERM is the power button: units stop, then everything ends. What comes
between two starts is lost with the process, as on a machine. Only the standard library.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

UNITS = Path("/etc/systemd/system")
SOCKET = Path("/run/init")
JOURNAL = Path("/var/log/journal")
ENGINE = "/run/docker.sock"
SSHD = "/usr/sbin/sshd"
ROOT = Path(__file__).parents[3]
SUFFIX = ".service"
DEFAULT_STOP_S = 90.0
# Clean ends of a service by systemd's reckoning.
CLEAN_SIGNALS = {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGPIPE}


def read_unit(path: Path) -> dict[str, list[str]]:
    """Return the settings of a unit with its drop-ins; an empty value forgets what was there, as systemd does."""
    found: dict[str, list[str]] = {}
    for file in [path, *sorted(Path(f"{path}.d").glob("*.conf"))]:
        for line in file.read_text().splitlines():
            if line.startswith(("#", ";", "[")) or "=" not in line:
                continue
            key, _, value = (part.strip() for part in line.partition("="))
            found[key] = [*found.get(key, []), value] if value else []
    return found


def words(line: str, known: dict[str, str]) -> list[str]:
    """Return the words of a command line: `${NAME}` is part of a word, `$NAME` alone is as many words as it has."""
    result = []
    for word in shlex.split(line):
        if alone := re.fullmatch(r"\$(\w+)", word):
            result += shlex.split(known.get(alone[1], ""))
        else:
            filled = re.sub(r"\$\{(\w+)\}|\$\$", lambda name: known.get(name[1], "") if name[1] else "$", word)
            result.append(filled)
    return result


async def answers(path: str) -> bool:
    """Whether somebody takes connections at a socket."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


@dataclass
class Unit:
    """A service.

    Attributes
    ----------
    name
        Without its suffix.
    state, sub, result
        As systemd names them.
    main
        Its process, while it has one.
    restarts
        How often it was started again by itself.
    starts
        Times of its starts, for the limit, s.
    """

    name: str
    state: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    main: asyncio.subprocess.Process | None = None
    restarts: int = 0
    code: int = 0
    starts: list[float] = field(default_factory=list)
    since: float = 0.0
    task: asyncio.Task[None] | None = None
    stopping: bool = False

    @property
    def path(self) -> Path:
        """Its file."""
        return UNITS / f"{self.name}{SUFFIX}"

    @property
    def settings(self) -> dict[str, list[str]]:
        """What its file says now."""
        return read_unit(self.path)

    def one(self, key: str, default: str = "") -> str:
        """Return a setting that counts once."""
        return (self.settings.get(key) or [default])[-1]

    def environment(self) -> dict[str, str]:
        """Return what its processes see."""
        known = dict(os.environ)
        for line in self.settings.get("Environment", []):
            known |= dict(word.split("=", 1) for word in shlex.split(line))
        for name in self.settings.get("EnvironmentFile", []):
            path = Path(name.removeprefix("-"))
            if path.exists() or not name.startswith("-"):
                lines = [line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
                known |= {
                    key: " ".join(shlex.split(value, posix=True)) if value[:1] in "'\"" else value
                    for key, _, value in (line.partition("=") for line in lines)
                }
        return known

    async def command(self, line: str) -> asyncio.subprocess.Process:
        """Start one of its commands."""
        where = self.one("StandardOutput").removeprefix("append:")
        log = Path(where) if where.startswith("/") else JOURNAL / f"{self.name}.log"
        known = self.environment()
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *words(line, known),
                env=known,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def all_of(self, key: str) -> int:
        """Run the commands of a key one after the other and return the first exit code that is not 0."""
        for line in self.settings.get(key, []):
            code = await (await self.command(line.removeprefix("-"))).wait()
            if code and not line.startswith("-"):
                return code
        return 0

    def become(self, state: str, sub: str) -> None:
        """Change its state."""
        if state != self.state:
            self.since = time.time()
        self.state, self.sub = state, sub

    async def start(self) -> None:
        """Start it unless it runs; returns when its process does, or it has failed, or a condition is not met."""
        if self.task and not self.task.done():
            return
        self.stopping, self.result, self.code = False, "success", 0
        up = asyncio.Event()
        self.task = asyncio.create_task(self._live(up))
        await up.wait()

    async def _live(self, up: asyncio.Event) -> None:
        try:
            while await self._once(up):
                self.become("activating", "auto-restart")
                await asyncio.sleep(float(self.one("RestartSec", "0.1")))
                if self.stopping:
                    self.become("inactive", "dead")
                    return
                self.restarts += 1
        finally:
            up.set()

    async def _once(self, up: asyncio.Event) -> bool:
        """Run it to its end and return whether it starts again."""
        if self._too_often():
            return False
        self.become("activating", "start-pre")
        if await self.all_of("ExecCondition"):
            self.result = "exec-condition"
            self.become("inactive", "dead")
            return False
        if await self.all_of("ExecStartPre"):
            self.code = 1
        else:
            self.main = await self.command(self.one("ExecStart"))
            self.become("active", "running")
            up.set()
            self.code = await self.main.wait()
            self.main = None
        clean = self.code == 0 or self.code in CLEAN_SIGNALS
        if self.stopping or clean:
            self.become("inactive", "dead")
        else:
            self.result = "signal" if self.code < 0 else "exit-code"
            self.become("failed", "failed")
        prevented = str(self.code) in self.one("RestartPreventExitStatus").split()
        policy = self.one("Restart", "no")
        return not self.stopping and not prevented and (policy == "always" or (policy == "on-failure" and not clean))

    def _too_often(self) -> bool:
        now = time.monotonic()
        interval, burst = float(self.one("StartLimitIntervalSec", "10")), int(self.one("StartLimitBurst", "5"))
        self.starts = [each for each in self.starts if now - each < interval]
        if len(self.starts) >= burst:
            self.result = "start-limit-hit"
            self.become("failed", "failed")
            return True
        self.starts.append(now)
        return False

    async def stop(self) -> None:
        """Stop it in order, and hard when it takes longer than it may."""
        self.stopping = True
        if not self.task or self.task.done():
            self.become("inactive", "dead")
            return
        main = self.main
        if main is None:
            if self.sub == "auto-restart":
                self.task.cancel()
                self.become("inactive", "dead")
            else:
                await asyncio.wait([self.task], timeout=DEFAULT_STOP_S)
            return
        self.become("deactivating", "stop")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(self.one("TimeoutStopSec", str(DEFAULT_STOP_S)))):
                await self.all_of("ExecStop")
                if main.returncode is None:
                    os.killpg(main.pid, signal.SIGTERM)
                await main.wait()
        if main.returncode is None:
            self.result = "timeout"
            os.killpg(main.pid, signal.SIGKILL)
        await asyncio.wait([self.task])

    def properties(self) -> dict[str, str]:
        """Return what `systemctl show` tells."""
        since = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since)) if self.since else ""
        return {
            "Id": f"{self.name}{SUFFIX}",
            "LoadState": "loaded" if self.path.exists() else "not-found",
            "ActiveState": self.state,
            "SubState": self.sub,
            "Result": self.result,
            "MainPID": str(self.main.pid if self.main else 0),
            "NRestarts": str(self.restarts),
            "ExecMainStatus": str(abs(self.code)),
            "StateChangeTimestamp": since,
            "ActiveEnterTimestamp": since if self.state == "active" else "",
        }


class Init:
    """All units, and what is asked about them."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self.waiting: set[asyncio.Task[None]] = set()

    def unit(self, name: str) -> Unit:
        """Return a unit by its name with or without a suffix."""
        name = name.removesuffix(SUFFIX)
        return self.units.setdefault(name, Unit(name))

    async def answer(self, arguments: list[str]) -> tuple[int, str]:
        """Do what `systemctl` was asked for."""
        flags = [each for each in arguments if each.startswith("-")]
        verb, *names = [each for each in arguments if not each.startswith("-")] or [""]
        if "-p" in flags:  # its value stands apart
            at = arguments.index("-p")
            names.remove(arguments[at + 1])
            flags.append(f"--property={arguments[at + 1]}")
        # Services of the distribution run in another way, or are not needed here.
        known = [self.unit(name) for name in names if self.unit(name).path.exists()]
        match verb:
            case "start" | "restart" | "try-restart":
                return await self._start(known, again=verb != "start", wait="--no-block" not in flags)
            case "stop":
                await asyncio.gather(*(unit.stop() for unit in known))
            case "reset-failed":
                for unit in known:
                    unit.starts, unit.restarts = [], 0
                    if unit.state == "failed":
                        unit.become("inactive", "dead")
            case "is-active" | "is-failed":
                unit = self.unit(names[0])
                wanted = "active" if verb == "is-active" else "failed"
                return (0 if unit.state == wanted else 3, "" if "--quiet" in flags else f"{unit.state}\n")
            case "show":
                return 0, self._show(self.unit(names[0]), flags)
            case "enable" | "disable" | "daemon-reload":
                pass  # a host's user data starts what is enabled
            case _:
                return 1, f"this stand-in of systemctl does not know {shlex.join(arguments)}\n"
        return 0, ""

    async def _start(self, units: list[Unit], *, again: bool, wait: bool) -> tuple[int, str]:
        async def one(unit: Unit) -> None:
            if again:
                await unit.stop()
            await unit.start()

        tasks = [asyncio.create_task(one(unit)) for unit in units]
        self.waiting |= set(tasks)
        for task in tasks:
            task.add_done_callback(self.waiting.discard)
        if not wait:
            return 0, ""
        await asyncio.gather(*tasks)
        failed = [unit for unit in units if unit.state == "failed"]
        return (1 if failed else 0), "".join(f"Job for {unit.name}{SUFFIX} failed.\n" for unit in failed)

    @staticmethod
    def _show(unit: Unit, flags: list[str]) -> str:
        wanted = [name for flag in flags if flag.startswith("--property=") for name in flag[11:].split(",")]
        found = {name: value for name, value in unit.properties().items() if not wanted or name in wanted}
        return "".join(f"{value}\n" if "--value" in flags else f"{name}={value}\n" for name, value in found.items())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one call."""
        code, said = await self.answer(json.loads(await reader.readline()))
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps({"code": code, "said": said}).encode())
            await writer.drain()
        writer.close()

    async def main(self) -> None:
        """Boot, and run until the power button is pressed."""
        down = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, down.set)
        server = await asyncio.start_unix_server(self.serve, SOCKET)
        engine = await asyncio.create_subprocess_exec(
            sys.executable, "-s", "-m", "ops.simulator.guest.engine", cwd=ROOT
        )
        while not await answers(ENGINE):  # noqa: ASYNC110 - another process; units and user data need it
            await asyncio.sleep(0.02)
        sshd = await asyncio.create_subprocess_exec(SSHD, "-D", "-e", "-f", "/etc/ssh/redox_sshd_config")
        user_data = await asyncio.create_subprocess_exec("/bin/bash", f"{os.environ['FOLDER']}/user-data")
        await down.wait()
        sshd.terminate()
        await asyncio.gather(*(unit.stop() for unit in self.units.values()))
        engine.terminate()
        if user_data.returncode is None:
            user_data.terminate()
        server.close()


def first() -> int:
    """Be the process that every orphan falls to, and end with the one that does the work."""
    JOURNAL.mkdir(exist_ok=True)
    worker = os.fork()
    if not worker:
        asyncio.run(Init().main())
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(worker, signal.SIGTERM))
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    socket.sethostname(os.environ["NAME"])
    sys.exit(first())
