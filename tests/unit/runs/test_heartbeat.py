"""The heartbeat: what it reports during and after a training, and that a slow disk does not delay the training."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from full_disk import disk_full_after
from redox_balancer.files import TEMPORARY
from redox_balancer.runs import checkpoint
from redox_balancer.runs.heartbeat import HEARTBEAT, Heartbeat, HeartbeatWriter, read_heartbeat
from runs_on_disk import SERIAL, Killed, heartbeat_of, kill
from sinks import Recorder
from trainings import trained


def heartbeat_that(run: Path, condition: Callable[[Heartbeat], bool]) -> Heartbeat:
    """Wait for a heartbeat: another thread writes it soon after the change that it reports."""
    while (beat := read_heartbeat(run)) is None or not condition(beat):
        pass
    return beat


def test_it_reports_progress_and_how_a_run_ended(tmp_path: Path) -> None:
    seen: list[Heartbeat] = []
    config = SERIAL.changed(heartbeat_interval_s=0.001)

    def look() -> None:
        now = time.time()
        seen.append(heartbeat_that(tmp_path, lambda beat: beat.written_at >= now))

    trained(tmp_path, config, sink=Recorder(1000, look))
    (during,) = seen
    assert (during.pid, during.status, during.timesteps) == (os.getpid(), "training", 1600)
    assert during.checkpoint_step == 896
    assert during.steps_per_s > 0
    assert not during.ended
    assert during.at_work(time.time())
    after = heartbeat_of(tmp_path)
    assert (after.status, after.step, after.checkpoint_step, after.failed_saves) == ("finished", 1664, 1664, 0)
    assert after.ended

    longer = config.changed(timesteps=4000)
    sink = Recorder(2000, lambda: signal.raise_signal(signal.SIGTERM))
    trained(tmp_path, longer, sink=sink)
    stopped = heartbeat_of(tmp_path)
    assert (stopped.status, stopped.step) == ("stopped", checkpoint.find(tmp_path).checkpoint.step)

    with pytest.raises(Killed):
        trained(tmp_path, longer, sink=Recorder(2500, kill))
    failed = heartbeat_of(tmp_path)
    assert failed.status == "failed"
    assert "Killed" in failed.message


def test_a_failed_save_is_reported_until_the_next_one_succeeds(tmp_path: Path) -> None:
    beats: list[Heartbeat] = []
    with ExitStack() as full:
        # Too small for a checkpoint, large enough for a heartbeat.
        sink = Recorder(300, lambda: full.enter_context(disk_full_after(1500)))
        advance = sink.advance

        def look(steps: int) -> None:
            advance(steps)
            if steps == 640:
                beats.append(heartbeat_that(tmp_path, lambda beat: beat.failed_saves == 1))
                full.close()

        sink.advance = look  # type: ignore[method-assign]
        assert trained(tmp_path, sink=sink)[0].finished
    (during,) = beats
    assert during.checkpoint_step is None
    assert "no checkpoint at step 512" in during.message
    after = heartbeat_of(tmp_path)
    assert (after.failed_saves, after.message, after.checkpoint_step) == (1, "", 1664)


def test_a_disk_that_stalls_delays_no_update(tmp_path: Path) -> None:
    writer = HeartbeatWriter(tmp_path, 60.0)
    # Opening a pipe for writing blocks until it has a reader, as a write blocks on a stalled disk.
    pipe = tmp_path / f"{TEMPORARY}{HEARTBEAT}"
    os.mkfifo(pipe)
    loop = threading.Thread(
        target=lambda: [writer.note(status=status, step=7) for status in ("training", "saving") * 10], daemon=True
    )
    loop.start()
    loop.join(10.0)
    stalled = loop.is_alive()
    with pipe.open() as reader:
        reader.read()
    # The pipe has taken the place of the heartbeat: the writer is past it.
    writer.close()
    assert not stalled
    assert heartbeat_that(tmp_path, lambda beat: beat.step == 7).status == "saving"


def test_a_file_that_cannot_be_read_is_no_heartbeat(tmp_path: Path) -> None:
    assert read_heartbeat(tmp_path) is None
    (tmp_path / HEARTBEAT).write_text('{"pid": 1')
    assert read_heartbeat(tmp_path) is None
    (tmp_path / HEARTBEAT).write_text('{"pid": 1, "host": "a", "status": "training", "of a later version": 2}')
    assert read_heartbeat(tmp_path) == Heartbeat(pid=1, host="a", status="training")
