"""Ray that does not start: what a user can fix, and what a supervisor should try again."""

from pathlib import Path

import pytest
import ray

from redox_balancer.errors import EXIT_UNREACHABLE, EXIT_USER_ERROR, RedoxError
from redox_balancer.impala.cluster import ray_cluster
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.supervisor import FINAL

LOCK = Path(__file__).parents[3] / "requirements.lock"
CONFIG = TrainConfig(num_actors=1, object_store_bytes=80_000_000)


@pytest.mark.parametrize(
    ("error", "exit_code", "hint"),
    [
        (Exception("The current node timed out during startup.\nThis could happen"), EXIT_UNREACHABLE, "try again"),
        (ConnectionError("no cluster at this address"), EXIT_USER_ERROR, "0 actors"),
        (PermissionError("of the folder ray"), EXIT_USER_ERROR, "TMPDIR"),
    ],
)
def test_a_slow_start_may_be_tried_again_and_a_wrong_address_may_not(
    monkeypatch: pytest.MonkeyPatch, error: Exception, exit_code: int, hint: str
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(RedoxError, match=r"Ray cannot be started on this machine: \w") as caught, ray_cluster(CONFIG):
        pass
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == exit_code
    assert (exit_code in FINAL) is (exit_code == EXIT_USER_ERROR)


def test_a_bug_is_not_reported_as_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda **_: {}["missing"])
    with pytest.raises(KeyError), ray_cluster(CONFIG):
        pass


def test_nothing_that_slows_down_the_start_of_each_process_is_installed() -> None:
    """Ray imports jsonschema, which imports rfc3987-syntax where there is one: 1.5 s in each of its processes."""
    assert "\njsonschema==" in LOCK.read_text()
    assert "rfc3987" not in LOCK.read_text()
