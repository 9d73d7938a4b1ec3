"""The picture in the README is the one that the templates give."""

from infra.diagram import BLOCK, README, draw
from infra.settings import load


def test_the_readme_shows_what_is_deployed() -> None:
    shown = BLOCK.findall(README.read_text())
    assert shown == [draw(load())], "make diagram"
