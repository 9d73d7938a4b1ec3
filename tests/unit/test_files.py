"""Files that are whole or absent, whatever ends the process."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from redox_balancer.files import temporary_folder, written_atomically


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "writing", [lambda folder: written_atomically(folder / "a"), lambda folder: temporary_folder(within=folder)]
)
def test_a_signal_that_ends_the_process_leaves_no_partial_file(
    tmp_path: Path, number: signal.Signals, writing: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    def write() -> None:
        with writing(tmp_path):
            assert len(list(tmp_path.iterdir())) == 1
            signal.raise_signal(number)

    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended:
            write()
        assert ended.value.code == 128 + number
        assert signal.getsignal(number) is signal.SIG_DFL
        assert list(tmp_path.iterdir()) == []
    finally:
        signal.signal(number, before)


def test_a_handler_of_the_process_itself_is_left_alone(tmp_path: Path) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with written_atomically(tmp_path / "a") as partial:
            signal.raise_signal(signal.SIGTERM)
            partial.write_text("whole")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert (tmp_path / "a").read_text() == "whole"
