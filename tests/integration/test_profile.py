"""`redox profile` on a live actor."""

from pathlib import Path

from commands import redox_json, redox_process


def test_the_flame_graph_shows_the_functions_of_the_actor(tmp_path: Path) -> None:
    options = ("--object-store-bytes", "100000000", "--seconds", "1", "--envs-per-actor", "2")
    shown = redox_json("profile", *options, "--output", "flame.html", run=redox_process, cwd=tmp_path)
    assert shown["steps"] >= 32
    assert [path.name for path in tmp_path.iterdir()] == ["flame.html"]
    page = (tmp_path / "flame.html").read_text()
    # The collector and the environment it steps.
    assert "rollout.py" in page
    assert "design/evaluator.py" in page
