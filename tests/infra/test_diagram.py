"""The diagram in docs/deployment.md is the one that the templates give."""

from infra.diagram import BLOCK, PAGE, draw
from infra.settings import load


def test_the_page_shows_what_is_deployed() -> None:
    shown = BLOCK.findall(PAGE.read_text())
    assert shown == [draw(load())], "make diagram"
