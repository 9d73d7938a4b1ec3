"""The README's example from Python works as it stands."""

import os
import re
import resource
from pathlib import Path

from commands import python

README = Path(__file__).parents[3] / "README.md"


def example() -> str:
    section = README.read_text().split("\n## From Python\n")[1]
    found = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert found is not None
    return found[1]


def test_value_and_search_need_neither_torch_nor_ray_and_take_less_than_five_seconds(tmp_path: Path) -> None:
    for package in ("torch", "ray", "tensorboard"):
        (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError({package!r}, name={package!r})")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    evaluated, trained = example().split("run = ")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = python(evaluated, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[0].startswith("complex_iii_closed: LBNOX_c 0.1 % + AOX_m 0.03 %, value 0.6476")
    assert answer.stdout.splitlines()[1].startswith("LBNOX_c 0.1 % + TPNOX_c 0.03 % 0.70")
    # Of the processor: a machine that is busy with other tests is slower by the clock.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5.0
    refused = python(f"{evaluated}run = {trained}", cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})
    assert "which is not installed" in refused.stderr.splitlines()[-1]


def test_the_whole_example_trains_designs_and_exports(tmp_path: Path) -> None:
    small = example().replace("200_000, num_actors=2", "2_000, num_actors=0")
    assert small != example()
    answer = python(small, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "designs" / "from_python" / "design.json").is_file()
    assert (tmp_path / "experiments" / "from_python" / "config.json").is_file()
    lines = [line for line in example().splitlines() if line.strip()]
    assert len(lines) <= 10
