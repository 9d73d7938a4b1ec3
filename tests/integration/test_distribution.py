"""Distribution of tests: a file stays on one worker, tests of hosts share one, unit tests load no stand-ins."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from commands import python

ROOT = Path(__file__).parents[2]
FOLDERS = {"unit": 3, "integration": 3, "image": 2, "infra": 2, "ops": 2}  # with files
MANY = 40  # tests of a file of unit tests: more than those of hosts together
TEST = """
import os
import pytest

@pytest.mark.parametrize("number", range(6))
def test_worker(number: int) -> None:
    with open("workers", "a") as file:
        file.write(f"{__file__} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


def test_a_file_stays_on_one_worker_and_containers_and_hosts_share_one_each_from_the_start(tmp_path: Path) -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {options}\n")
    for folder, count in FOLDERS.items():
        (tmp_path / "tests" / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "tests" / folder / f"test_{folder}_{number}.py").write_text(
                TEST.replace("range(6)", f"range({MANY})") if folder == "unit" else TEST
            )
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests")
    command = [sys.executable, "-m", "pytest", "-q", "--numprocesses", "2"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
    ran = [line.split() for line in (tmp_path / "workers").read_text().splitlines()]
    assert len(ran) == 6 * sum(FOLDERS.values()) + (MANY - 6) * FOLDERS["unit"]
    workers = {Path(file): {worker for other, worker in ran if other == file} for file, _ in ran}
    assert all(len(of_file) == 1 for of_file in workers.values()), workers
    for folders, count in ((("image",), 2), (("infra", "ops"), 4)):
        alone = [of_file for file, of_file in workers.items() if file.parent.name in folders]
        assert len(alone) == count
        assert len(set().union(*alone)) == 1
    first = {worker: Path(file).parent.name for file, worker in reversed(ran)}
    assert sorted(first.values()) == ["image", "infra"]


def test_unit_tests_load_neither_the_aws_stand_in_nor_a_browser() -> None:
    heavy = {"moto", "werkzeug", "playwright", "docker", "aws_cdk"}
    program = f"""
import sys
import pytest

code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests/unit"])
print("loaded:", *sorted({heavy!r} & set(sys.modules)))
sys.exit(code)
"""
    answer = python(program, cwd=ROOT)
    assert answer.returncode == 0, answer.stdout
    assert answer.stdout.splitlines()[-1] == "loaded:"
