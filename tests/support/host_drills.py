"""Drills of a host on simulated AWS: how long until it trains again, what is lost, and what the idle time costs."""

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from infra.bucket import OperatorBucket
from infra.machine import contract
from infra.machine.jobs import Job, Queue
from infra.names import STORAGE
from infra.settings import FILE, load
from ops.demo.settings import LOCK_S
from ops.demo.stand_in import StandInStage, skip_an_hour
from ops.demo.story import Story
from ops.simulator.guest.init import NOTICE
from ops.simulator.host import SimulatedHost
from redox_balancer.impala.config import TrainConfig

# What a real machine takes longer than a simulated one, s. Nothing here was measured at AWS.
BOOT_S = 240.0  # assumed: launch 60, packages 100, image of 420 MB 80
LOCK_LONGER_S = TrainConfig().remote_lock_s - LOCK_S  # a killed trainer's lock; by the settings of a run
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html: each minute.
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html: "waits a few minutes".
STATUS_CHECK_S = 60.0 + 180.0  # documented, with "a few" assumed as three
SLOW_S = 0.5  # by which each request to a slow bucket is delayed


@dataclass(frozen=True)
class Loss:
    """Result of a drill; times in seconds."""

    drill: str
    happened: str
    back_s: float | None  # from the fault to training again, on simulated AWS; None: a person is needed
    added_s: float  # for a real machine, see `added`
    added: str  # what it consists of
    steps: int
    save_interval_s: int
    idle_usd: float  # at the price of deploy.toml, at most: as if a host was billed all the time


class DrillStage(StandInStage):
    """Simulated AWS, where a host is lost in the way that the drill names."""

    drill = "vanished"

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        super().__init__(folder, show)
        path = folder / "deploy.toml"
        path.write_text(path.read_text().replace("spot = false", "spot = true"))  # the watch asks for notices there
        self.settings = load(path)

    def lose(self, host: str) -> str:
        ways: dict[str, Callable[[SimulatedHost], str]] = {
            "notice": self._interrupt,
            "vanished": self._vanish,
            "unhealthy": self._break,
            "slow bucket": self._slow,
            "bad image": self._without_image,
        }
        return ways[self.drill](self.machines.host(host))

    def _vanish(self, host: SimulatedHost) -> str:
        host.kill()
        self.client("ec2").terminate_instances(InstanceIds=[host.record.instance_id])
        return "killed, and its instance terminated"

    def _break(self, host: SimulatedHost) -> str:
        host.kill()
        return "killed, and its instance runs on and fails its status checks"

    def _interrupt(self, host: SimulatedHost) -> str:
        """Announce an interruption, and take the instance once the training has saved; AWS does after 2 minutes."""
        text = json.dumps({"action": "terminate", "time": "2026-11-28T08:22:00Z"})
        host.run("sh", "-c", f"echo '{text}' > {NOTICE}").check_returncode()
        deadline = time.monotonic() + 120.0
        while host.run("systemctl", "is-active", contract.TRAINER).stdout.strip() in contract.UNIT_ACTIVE:
            if time.monotonic() > deadline:
                break  # and AWS takes it all the same
            time.sleep(self.poll_s)
        return self._vanish(host) + ", after the notice"

    def _slow(self, host: SimulatedHost) -> str:
        slow = replace(self.aws, address=self.closing.enter_context(delay(self.aws.address, SLOW_S)))
        self.machines.aws = slow  # of the hosts that start from now on
        return f"{self._vanish(host)}; requests of its replacement take {SLOW_S} s longer"

    def _without_image(self, host: SimulatedHost) -> str:
        shutil.rmtree(self.aws.hosts.parent / "registry")
        return self._break(host) + "; the repository has lost its image"


class Drills(Story):
    """The first steps of the story, and then one loss after another."""

    stage: DrillStage

    def run(self, names: Sequence[str]) -> Iterator[Loss]:
        self.stage.deploy(self.terminal)
        host = self._train()
        for name in names:
            self.stage.drill = name
            lost = self._lose(host)
            if name == "bad image":
                yield self._left_alone()
                return
            found = self._replaced(lost)
            host = found["host"]
            yield self._loss(name, found["back_s"], found["lost_steps"])

    def _left_alone(self) -> Loss:
        """Nobody can train: the host ends itself some minutes after the last job was set aside."""
        failed, minutes = self._until(self._set_aside, "failure of both runs"), contract.FAILED_IDLE_S / 60.0
        host = self._member() or ""
        skip_an_hour(self.stage.machines.host(host))
        self._until(lambda: self._group()["DesiredCapacity"] == 0 and not self._member(), "group at 0")
        happened = f"set aside: {failed[0].outcome}; {minutes:.0f} idle min, group at 0"
        return self._loss("bad image", None, 0, happened, 60.0 * minutes)

    def _set_aside(self) -> list[Job]:
        stack = self.stage.client("cloudformation").describe_stacks(StackName=STORAGE)["Stacks"][0]
        (name,) = (each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "BucketName")
        queue = Queue.of(OperatorBucket(self.stage.client("s3"), name).get(contract.QUEUE))
        return [] if queue.active or queue.waiting else queue.failed

    def _loss(self, name: str, back_s: float | None, steps: int, happened: str = "", idle_s: float = 0.0) -> Loss:
        parts = {"boot, assumed": BOOT_S}
        if name != "notice":  # which releases the lock
            parts["lock, of the settings"] = LOCK_LONGER_S
        if name in ("unhealthy", "bad image"):
            parts["status checks, documented"] = STATUS_CHECK_S
        added = sum(parts.values())
        seconds = (back_s or 0.0) + added + idle_s
        return Loss(
            drill=name,
            happened=happened or "replaced, resumed",
            back_s=back_s,
            added_s=added,
            added=", ".join(f"{what} {value:.0f}" for what, value in parts.items()),
            steps=steps,
            save_interval_s=self._interval_s,
            idle_usd=seconds / 3_600 * load(FILE).price.per_hour_usd,
        )


def drills(folder: Path, names: Sequence[str], show: Callable[[str], None]) -> list[Loss]:
    """Run drills, one after another on one deployment."""
    with DrillStage(folder, show) as stage:
        return list(Drills(stage, folder, show).run(names))


@contextmanager
def delay(address: str, seconds: float) -> Iterator[str]:
    """A proxy that passes on each part of a request late; yields its address."""
    target = urlsplit(address)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
        try:
            while part := await reader.read(65_536):
                await asyncio.sleep(pause)
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(pass_on(reader, upstream[1], seconds), pass_on(upstream[0], writer, 0.0))

    loop, ready = asyncio.new_event_loop(), threading.Event()
    where: list[str] = []

    async def serve(stopped: asyncio.Event) -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        where.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        ready.set()
        await stopped.wait()

    stopped = asyncio.Event()
    thread = threading.Thread(target=partial(loop.run_until_complete, serve(stopped)))
    thread.start()
    ready.wait()
    try:
        yield where[0]
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()


def as_text(losses: Sequence[Loss]) -> str:
    """Return a table of the drills."""
    head = (
        f"{'drill':<12} {'trains again':>13} {'on AWS about':>13} {'steps lost':>11} {'USD idle':>9}  added there, s"
    )
    rows = [
        f"{each.drill:<12} {'-' if each.back_s is None else f'{each.back_s:.0f} s':>13} "
        f"{'-' if each.back_s is None else f'{(each.back_s + each.added_s) / 60:.0f} min':>13} "
        f"{each.steps:>11,} {each.idle_usd:>9.2f}  {each.added} ({each.happened})"
        for each in losses
    ]
    return "\n".join([head, *rows])


def as_json(losses: Sequence[Loss]) -> str:
    return json.dumps([asdict(each) for each in losses])
