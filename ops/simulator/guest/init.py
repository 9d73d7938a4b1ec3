"""First process of a simulated host: the part of systemd and cloud-init that this deployment needs.

Runs sshd and the user data, manages the services of /etc/systemd/system, and answers `systemctl` on a socket. SIGTERM
is the power button: units are stopped, then everything ends.
"""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import socket
import sys
from pathlib import Path

from ops.simulator.guest.units import JOURNAL, SUFFIX, Unit

SOCKET = Path("/run/init")
SSHD = "/usr/sbin/sshd"
NOTICE = Path("/run/spot-instance-action")  # a test writes it


class Init:
    """All units, and the answers to `systemctl`."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def unit(self, name: str) -> Unit:
        """Return a unit by its name, with or without the suffix."""
        name = name.removesuffix(SUFFIX)
        return self.units.setdefault(name, Unit(name))

    async def answer(self, arguments: list[str]) -> tuple[int, str]:
        """Run a command line of `systemctl`, and return its exit code and output."""
        flags = [each for each in arguments if each.startswith("-")]
        command, *names = [each for each in arguments if not each.startswith("-")] or [""]
        # Services of the distribution run in another way, or are not needed here.
        known = [self.unit(name) for name in names if self.unit(name).path.exists()]
        match command:
            case "start" | "restart":
                return await self._start(known, restart=command != "start", wait="--no-block" not in flags)
            case "stop":
                await asyncio.gather(*(unit.stop() for unit in known))
            case "reset-failed":
                for unit in known:
                    unit.reset_failed()
            case "is-active":
                state = self.unit(names[0]).state
                return (0 if state == "active" else 3), f"{state}\n"
            case "show":
                return 0, self._show(self.unit(names[0]), flags)
            case "enable" | "disable" | "daemon-reload":
                pass  # the user data starts the enabled units
            case _:
                return 1, f"not simulated: systemctl {shlex.join(arguments)}\n"
        return 0, ""

    async def _start(self, units: list[Unit], *, restart: bool, wait: bool) -> tuple[int, str]:
        async def one(unit: Unit) -> None:
            if restart:
                await unit.stop()
            await unit.start()

        tasks = [asyncio.create_task(one(unit)) for unit in units]
        self.tasks |= set(tasks)
        for task in tasks:
            task.add_done_callback(self.tasks.discard)
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
        code, output = await self.answer(json.loads(await reader.readline()))
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps({"code": code, "output": output}).encode())
            await writer.drain()
        writer.close()

    async def main(self) -> None:
        """Boot, and run until the power button is pressed."""
        power_off = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, power_off.set)
        server = await asyncio.start_unix_server(self.serve, SOCKET)
        sshd = await asyncio.create_subprocess_exec(SSHD, "-D", "-e", "-f", "/etc/ssh/redox_sshd_config")
        metadata = await asyncio.start_server(answer_metadata, "127.0.0.1", 0)
        port = metadata.sockets[0].getsockname()[1]
        os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"http://127.0.0.1:{port}"  # of this host alone
        user_data = await asyncio.create_subprocess_exec(f"{os.environ['FOLDER']}/user-data")
        await power_off.wait()
        sshd.terminate()
        await asyncio.gather(*(unit.stop() for unit in self.units.values()))
        if user_data.returncode is None:
            user_data.terminate()
        server.close()


async def answer_metadata(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request to the metadata service: id, role and, where a file has one, a spot interruption notice."""
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    keys = {"AccessKeyId": "AWS_ACCESS_KEY_ID", "SecretAccessKey": "AWS_SECRET_ACCESS_KEY"}
    role = "iam/security-credentials/"
    known = {
        "instance-id": os.environ["NAME"],
        "local-ipv4": "127.0.0.1",
        role: "host",
        f"{role}host": json.dumps({**{key: os.environ.get(name) for key, name in keys.items()}, "Token": "token"}),
    }
    if NOTICE.exists():  # noqa: ASYNC240 - of a tmpfs
        known["spot/instance-action"] = NOTICE.read_text()  # noqa: ASYNC240
    path = request.split()[1]
    found = "token" if path == "/latest/api/token" else known.get(path.removeprefix("/latest/meta-data/"))
    status, body = ("200 OK", found) if found is not None else ("404 Not Found", "")
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    await writer.drain()
    writer.close()


def run_as_first_process() -> int:
    """Reap orphans, and end with the child that does the work."""
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
    os.chdir("/")
    socket.sethostname(os.environ["NAME"])
    sys.exit(run_as_first_process())
