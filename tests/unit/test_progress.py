"""How the command line shows progress."""

from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.status import Status

from redox_balancer.terminal.progress import status_progress, transfer_progress


def test_a_transfer_prints_one_line_for_each_tenth_and_phase(capsys: pytest.CaptureFixture[str]) -> None:
    with transfer_progress("fetching toy") as progress:
        for done in (0, 1_000, 1_900, 2_000, 1_500, 2_000):
            progress("downloading toy.json", done, 10_000)
        progress("checking toy")
        progress("downloading part", 7, None)
    assert capsys.readouterr().err.splitlines() == [
        "downloading toy.json: 0 of 10,000 bytes",
        "downloading toy.json: 1,000 of 10,000 bytes",
        "downloading toy.json: 2,000 of 10,000 bytes",
        "checking toy",
        "downloading part: 7 bytes",
    ]


def test_a_spinner_shows_the_phase_and_how_much_of_it_is_done() -> None:
    with Console(quiet=True).status("starting") as status:
        progress = status_progress(status)
        progress("flux ranges", 50, 1_200)
        assert status.status == "flux ranges: 50 of 1,200"
        progress("production envelope")
        assert status.status == "production envelope"


def test_a_spinner_without_a_terminal_prints_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((0.0, 9.0, 11.0, 11.0, 15.0))
    monkeypatch.setattr("redox_balancer.terminal.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    progress = status_progress(Status("starting", console=Console(stderr=True)))
    for done in range(3):
        progress("conditions", done, 3)
    assert capsys.readouterr().err.splitlines() == ["conditions: 1 of 3"]
