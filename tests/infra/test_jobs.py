"""The queue of jobs as a host works it off, whatever operators do meanwhile: no job is lost, none starts twice."""

import json
import os
from pathlib import Path

import pytest

from infra.machine import contract, jobs
from infra.machine.aws import ChangedError, Found
from infra.machine.contract import QUEUE
from infra.machine.jobs import STOPPED, HostQueue, Job, Queue, change
from ops.commands.train_remote import place
from redox_balancer.errors import RedoxError

HOST = "i-1"
SYSTEMCTL = """#!/bin/sh
echo "$*" >>{0}/calls
[ "$1" != show ] || cat {0}/unit
[ "$1" != start ] || echo ActiveState=active >{0}/unit
"""


class Store:
    """The bucket; `before_put` is what another writer does between the next read and the write after it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.before_put = lambda: None

    def get(self, key: str) -> Found | None:
        return Found(self.objects[key], str(self.objects[key])) if key in self.objects else None

    def put(self, key: str, content: bytes, *, replaces: Found | None) -> None:
        other, self.before_put = self.before_put, lambda: None
        other()
        if replaces != self.get(key):
            raise ChangedError("412")
        self.objects[key] = content


class Machine:
    """A host whose unit is a file, and the bucket."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.stored = folder, Store(), list[str]()
        self.unit("inactive")
        self.queue = HostQueue(self.store, folder, self._store_log)

    def _store_log(self, run: str) -> str:
        self.stored.append(run)
        return f"{run}.log"

    def unit(self, state: str, result: str = "success", code: int = 0) -> None:
        (self.folder / "unit").write_text(f"ActiveState={state}\nResult={result}\nExecMainStatus={code}\n")

    def ends(self, run: str, status: str, message: str = "") -> None:
        """The training ends, and says so in its last heartbeat."""
        (self.folder / run).mkdir(exist_ok=True)
        beat = {"status": status, "message": message}
        (self.folder / run / contract.HEARTBEAT).write_text(json.dumps(beat))
        self.unit("inactive")

    def add(self, *runs: str) -> None:
        for run in runs:
            change(self.store, lambda queue, run=run: place(queue, job(run), trains=True))  # type: ignore[misc]

    def cancel(self, run: str) -> None:
        change(self.store, lambda queue: queue.waiting.remove(job(run)))

    def close(self) -> None:
        change(self.store, lambda queue: setattr(queue, "closed", STOPPED))

    @property
    def now(self) -> Queue:
        return Queue.of(self.store.get(QUEUE))

    @property
    def waiting(self) -> list[str]:
        return [each.run for each in self.now.waiting]

    @property
    def running(self) -> str:
        """The run of the unit, empty if it is not active."""
        active = "=active" in (self.folder / "unit").read_text()
        return (self.folder / "run.env").read_text().split('"')[1] if active else ""


def job(run: str, image: str = "app:1") -> Job:
    return Job(run, f'REDOX_RUN="{run}"\nREDOX_IMAGE="{image}"\n')


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(SYSTEMCTL.format(tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name in ("READY", "RUN_ENV", "KEEP_AWAKE"):
        monkeypatch.setattr(contract, name, tmp_path / {"RUN_ENV": "run.env"}.get(name, name))
    contract.READY.touch()
    return Machine(tmp_path)


def test_jobs_run_in_their_order_each_when_the_one_before_has_finished(machine: Machine) -> None:
    machine.add("one", "two", "three")
    for run in ("one", "two", "three"):
        machine.queue.turn()
        machine.queue.turn()
        assert (machine.running, machine.now.active) == (run, job(run))
        machine.ends(run, "finished")
    machine.queue.turn()
    assert machine.now == Queue()
    assert machine.stored == ["one", "two", "three"]
    assert contract.KEEP_AWAKE.exists()  # pulling an image is no idle time


def test_a_run_that_is_queued_again_has_not_finished_before_it_begins(machine: Machine) -> None:
    for _ in range(2):
        machine.add("one")
        machine.queue.turn()
        machine.unit("inactive")  # it waits for other units
        machine.queue.turn()
        assert machine.now.active == job("one")
        machine.ends("one", "finished")
        machine.queue.turn()
        assert machine.now == Queue()


@pytest.mark.parametrize(
    ("unit", "status", "outcome"),
    [
        (("failed", "exit-code", 2), "", "unit failed (exit-code), exit code 2"),
        (("failed", "start-limit-hit", 75), "training", "unit failed (start-limit-hit), exit code 75"),
        (("failed", "exit-code", 70), "failed", "nonsense"),
        (("inactive", "exec-condition", 0), "finished", "image app:1 is not on the host, which has replaced"),
    ],
    ids=["wrong input", "given up", "nonsense", "no image"],
)
def test_a_job_that_fails_is_set_aside_and_the_next_starts(
    machine: Machine, unit: tuple[str, str, int], status: str, outcome: str
) -> None:
    machine.add("one", "two")
    machine.queue.turn()
    machine.ends("one", status, "nonsense")
    machine.unit(*unit)
    machine.queue.turn()
    (failed,) = machine.now.failed
    assert (failed.run, failed.outcome[: len(outcome)], failed.log) == ("one", outcome, "one.log")
    assert machine.running.startswith("two")


def test_a_job_whose_image_is_missing_says_what_to_do(machine: Machine) -> None:
    for image, said in (
        ("app:1", "queue the run again, which sends it"),
        ("1.ecr/app:1", "could not be pulled: the log says why"),
    ):
        change(machine.store, lambda queue, image=image: queue.waiting.append(job(image, image)))  # type: ignore[misc]
        machine.queue.turn()
        machine.unit("inactive", "exec-condition", 1)
        machine.queue.turn()
        outcome = machine.now.failed[-1].outcome
        assert outcome.startswith(f"image {image} ")
        assert said in outcome


def test_nobody_needs_a_host_whose_last_job_was_set_aside(machine: Machine, tmp_path: Path) -> None:
    """Whoever has started the watch anew; not while a job waits, nor once a person asks to keep the host."""
    machine.add("one", "two", "three")
    for status in ("failed", "finished", "failed"):
        assert not machine.queue.failed()
        machine.queue.turn()
        machine.ends((machine.now.active or job("")).run, status, "nonsense")
        machine.queue.turn()
    machine.queue.turn()
    assert [each.run for each in machine.now.failed] == ["one", "three"]
    assert machine.queue.failed()
    restarted = HostQueue(machine.store, tmp_path, str)
    restarted.turn()
    assert restarted.failed()
    later = contract.RUN_ENV.stat().st_mtime + 1.0
    os.utime(contract.KEEP_AWAKE, (later, later))  # as `touch` does
    assert not restarted.failed()
    machine.add("three")  # mended
    machine.queue.turn()
    machine.ends("three", "finished")
    machine.queue.turn()
    machine.queue.turn()
    assert not machine.queue.failed()
    assert [each.run for each in machine.now.failed] == ["one"]


def test_a_host_that_started_no_job_has_its_idle_time(machine: Machine) -> None:
    machine.store.objects[QUEUE] = Queue(failed=[job("of another host")]).content()
    machine.queue.turn()
    assert not machine.queue.failed()


def test_a_training_that_was_stopped_is_gone_on_with_by_the_next_host_and_the_queue_after_it(
    machine: Machine, tmp_path: Path
) -> None:
    machine.add("one", "two")
    machine.queue.turn()
    machine.ends("one", "stopped")  # by a spot interruption notice
    machine.queue.turn()
    assert (machine.running, machine.now.active, machine.waiting) == ("", job("one"), ["two"])
    contract.RUN_ENV.unlink()  # another host
    contract.READY.unlink()
    other = HostQueue(machine.store, tmp_path, str)
    other.turn()
    assert machine.running == ""  # its bring-up has not ended
    contract.READY.touch()
    other.turn()
    assert (machine.running, machine.waiting) == ("one", ["two"])


def test_a_watch_that_ends_between_taking_a_job_and_starting_it_starts_it_later(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add("one")
    with monkeypatch.context() as broken:
        broken.setattr(jobs, "start", lambda _job: (_ for _ in ()).throw(OSError("a full disk")))
        with pytest.raises(OSError, match="full disk"):
            machine.queue.turn()
    assert (machine.now.active, machine.running) == (job("one"), "")
    machine.queue.turn()
    assert machine.running == "one"


def test_a_job_that_is_cancelled_while_the_host_takes_it_does_not_start(machine: Machine) -> None:
    machine.add("one", "two")
    machine.store.before_put = lambda: machine.cancel("one")
    with pytest.raises(ChangedError):
        machine.queue.turn()
    assert (machine.running, machine.now.active, machine.waiting) == ("", None, ["two"])
    machine.queue.turn()
    assert machine.running == "two"


def test_a_job_that_is_taken_is_no_longer_there_to_cancel(machine: Machine) -> None:
    machine.add("one")
    machine.store.before_put = machine.queue.turn
    with pytest.raises(ValueError, match="not in list"):
        machine.cancel("one")
    assert machine.running == "one"


def test_a_host_that_ends_stays_for_a_job_that_came_since_it_looked(machine: Machine) -> None:
    machine.queue.turn()
    machine.add("one")
    assert not machine.queue.close(HOST)
    machine.queue.turn()
    assert (machine.running, machine.now.closed) == ("one", "")


def test_a_job_that_comes_after_the_host_has_closed_the_queue_sees_it(machine: Machine) -> None:
    machine.add("one")
    machine.cancel("one")
    machine.queue.turn()
    machine.store.before_put = lambda: machine.queue.close(HOST)
    machine.add("two")  # reads, is forestalled, and reads again
    assert (machine.now.closed, machine.waiting) == (HOST, ["two"])  # so the group is set to 1 once the host is gone
    machine.queue.turn()  # it could not be ended
    assert (machine.running, machine.now.closed) == ("two", "")


def test_a_host_whose_bring_up_hangs_ends_although_jobs_wait(machine: Machine) -> None:
    contract.READY.unlink()
    machine.add("one")
    machine.queue.turn()
    assert [machine.queue.close(HOST), machine.queue.close(HOST)] == [False, True]
    assert machine.waiting == ["one"]


def test_a_host_whose_watch_has_just_started_ends_without_jobs_only(machine: Machine, tmp_path: Path) -> None:
    machine.add("one")
    assert not HostQueue(machine.store, tmp_path, str).close(HOST)
    machine.cancel("one")
    assert HostQueue(machine.store, tmp_path, str).close(HOST)
    assert machine.now.closed == HOST


def test_a_queue_that_a_person_closed_stays_closed(machine: Machine) -> None:
    machine.add("one", "two")
    machine.queue.turn()
    machine.close()
    machine.ends("one", "finished")
    machine.queue.turn()
    assert (machine.running, machine.now.active, machine.waiting) == ("", None, ["two"])


def test_a_damaged_queue_is_named_and_starts_nothing(machine: Machine) -> None:
    for content in (b"[]", b"{", b'{"waiting": [{"walk": 1}]}', b'{"waiting": 1}'):
        machine.store.objects[QUEUE] = content
        with pytest.raises(OSError, match=r"queue\.json is damaged: "):
            machine.queue.turn()
    assert machine.running == ""


def test_writers_who_are_forestalled_try_again_and_give_up_at_last(machine: Machine) -> None:
    numbers = iter(range(100))

    def other() -> None:
        machine.store.objects[QUEUE] = Queue(waiting=[job(f"other-{next(numbers)}")]).content()
        machine.store.before_put = other

    machine.store.before_put = other
    with pytest.raises(ChangedError):
        machine.add("one")
    assert next(numbers) == jobs.ATTEMPTS
    machine.store.before_put = lambda: None
    with pytest.raises(RedoxError, match="run other-9 is queued already"):
        machine.add("other-9")
