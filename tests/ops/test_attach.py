"""Attaching to a run: detaching leaves it going, a lost connection is opened again, and a death is reported."""

import signal
import threading
from collections.abc import Mapping

import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.runs import progress
from redox_balancer.runs.progress import PlainProgress
from redox_balancer.terminal.tables import notes
from training_host import Train, TrainingHost


class Interrupting(PlainProgress):
    """The user presses Ctrl-C at the first row of metrics."""

    def row(self, row: Mapping[str, float]) -> None:
        super().row(row)
        signal.raise_signal(signal.SIGINT)


def test_detaching_leaves_the_run_going(
    training_host: TrainingHost, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "open_progress", lambda: Interrupting(notes()))
    assert "detached, run mine continues" in train().shown
    assert training_host.is_training()


def test_a_lost_connection_is_opened_again(training_host: TrainingHost, train: Train) -> None:
    def cut_and_let_it_finish() -> None:
        assert training_host.arguments()
        training_host.ssh.cut()
        training_host.run("rm /data/endless")

    cutter = threading.Thread(target=cut_and_let_it_finish)
    cutter.start()
    assert train().data["ended"]["status"] == "finished"
    cutter.join()


def test_a_training_that_dies_at_its_start_shows_its_last_lines(training_host: TrainingHost, train: Train) -> None:
    training_host.run("touch /data/crash")
    with pytest.raises(RedoxError, match=r"has died: unit failed .*exit code 2.*: .*ray does not start"):
        train()
