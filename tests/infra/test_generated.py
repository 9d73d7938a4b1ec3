"""Files that repeat settings are those that `make generate` writes."""

import subprocess
import sys

import pytest

from infra import generated
from infra.settings import FILE, ROOT, load, parse


def test_the_generated_files_are_up_to_date() -> None:
    command = [sys.executable, "-m", "infra.generated", "--check"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_changed_setting_makes_them_stale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FILE.read_text().replace("nofile = 1048576", "nofile = 65536").replace("ray_grpc = 1", "ray_grpc = 2")
    monkeypatch.setattr(generated, "load", lambda: parse(text))
    assert generated.main(["--check"]) == 1
    assert capsys.readouterr().err == "".join(
        f"{name} is stale: make generate\n" for name in ("Dockerfile", "docker/limits.conf")
    )
    files = {str(path): content for path, content in generated.generated(parse(text)).items()}
    before = {name: (ROOT / name).read_text() for name in files}
    changed = set(files["Dockerfile"].splitlines()) ^ set(before["Dockerfile"].splitlines())
    assert {line.strip(" \\") for line in changed} == {
        "REDOX_NOFILE=1048576",
        "REDOX_NOFILE=65536",
        "RAY_worker_num_grpc_internal_threads=1",
        "RAY_worker_num_grpc_internal_threads=2",
    }
    assert files["docker/limits.conf"] == before["docker/limits.conf"].replace("1048576", "65536")


def test_limits_conf_raises_the_file_limit_of_all_users_and_of_the_user() -> None:
    lines = [line.split() for line in (ROOT / "docker" / "limits.conf").read_text().splitlines()]
    settings = load()
    limit = str(settings.limits.nofile)
    assert lines == [
        [who, kind, "nofile", limit] for who in ("*", settings.container.user) for kind in ("soft", "hard")
    ]
