import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.runs.lock import sole_trainer

HOLDER = """
import signal, sys
from pathlib import Path
from redox_balancer.runs.lock import sole_trainer
with sole_trainer(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


def test_a_second_trainer_is_refused_with_the_holder_of_the_folder_until_that_one_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):  # asking does not blot out the name
            with (
                pytest.raises(RedoxError, match=f"in use by a trainer: process {holder.pid} on "),
                sole_trainer(tmp_path),
            ):
                pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with sole_trainer(tmp_path):
            assert str(os.getpid()) in (tmp_path / "trainer.lock").read_text()


def test_a_folder_that_got_nothing_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(RedoxError, match="no"), sole_trainer(tmp_path / "new"):
        raise RedoxError("no")
    assert list(tmp_path.iterdir()) == []
    with sole_trainer(tmp_path / "new"):
        (tmp_path / "new" / "config.json").touch()
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(RedoxError, match="cannot write to"), sole_trainer(tmp_path / "file"):
        pass
