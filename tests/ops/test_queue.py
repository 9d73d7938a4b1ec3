"""`queue` and `cancel`: what is active, waits and failed; what cannot be cancelled is one line with a hint."""

import time

import pytest
from rich.console import Console

from fake_host import FakeAws, OpenSession
from infra.machine.contract import QUEUE
from infra.machine.jobs import Job, Queue
from ops.commands.cancel import cancel
from ops.commands.queue import queue
from redox_balancer.errors import RedoxError

FAILED = Job("sunday", "", 0.0, "unit failed", "experiments/sunday/logs/i-1.log")


@pytest.fixture
def queued(fake_aws: FakeAws) -> Queue:
    made = Queue(Job("monday", "", time.time() - 1_200), [Job("b", ""), Job("a", "")], [FAILED])
    fake_aws.objects[QUEUE] = made.content()
    return made


def shown(session: OpenSession) -> str:
    console = Console(width=200)
    with console.capture() as text:
        console.print(queue(session()).shown)
    return text.get()


def test_the_queue_is_shown_in_its_order_with_the_log_of_what_failed(
    open_session: OpenSession, queued: Queue
) -> None:
    lines = [line.split() for line in shown(open_session).splitlines()]
    assert [line[:2] for line in lines[-4:]] == [
        ["monday", "active"],
        ["b", "1"],
        ["a", "2"],
        ["sunday", "failed"],
    ]
    assert lines[-4][2:] == ["20.0", "min", "ago"]
    assert lines[-1][-3:] == ["unit", "failed:", f"s3://checkpoints/{FAILED.log}"]
    data = queue(open_session()).data
    assert [each["run"] for each in data["waiting"]] == [each.run for each in queued.waiting]


def test_an_empty_queue_and_one_without_a_host_say_so(open_session: OpenSession, fake_aws: FakeAws) -> None:
    assert shown(open_session) == "the queue is empty\n"
    fake_aws.objects[QUEUE] = Queue(waiting=[Job("a", "")], closed="stopped").content()
    assert "no host: make train-remote launches one" in shown(open_session)


def test_a_waiting_job_is_taken_out_and_one_that_failed_forgotten(
    open_session: OpenSession, fake_aws: FakeAws, queued: Queue
) -> None:
    cancel(open_session(dry_run=True), job="b")
    assert fake_aws.objects.queue == queued
    assert cancel(open_session(), job="b").data == {"cancelled": "b"}
    cancel(open_session(), job="sunday")
    assert fake_aws.objects.queue == Queue(queued.active, queued.waiting[1:], [])


@pytest.mark.usefixtures("queued")
@pytest.mark.parametrize(
    ("job", "said", "hint"),
    [
        ("monday", "run monday is the active one", "make stop OPS_OPTIONS=--keep-host ends it"),
        ("c", "there is no job c", "make queue lists them"),
    ],
)
def test_what_cannot_be_cancelled_is_one_line(open_session: OpenSession, job: str, said: str, hint: str) -> None:
    with pytest.raises(RedoxError, match=said) as refused:
        cancel(open_session(), job=job)
    assert (refused.value.hint, refused.value.exit_code) == (hint, 2)


@pytest.mark.usefixtures("queued")
def test_a_damaged_queue_is_one_line(open_session: OpenSession, fake_aws: FakeAws) -> None:
    fake_aws.objects[QUEUE] = b"{"
    with pytest.raises(RedoxError, match=r"state/queue\.json is damaged") as refused:
        queue(open_session())
    assert "earlier versions" in refused.value.hint
