"""The diagram in docs/deployment.md matches the templates."""

from infra.diagram import BLOCK, PAGE, draw
from infra.settings import load


def test_the_page_shows_what_is_deployed() -> None:
    shown = BLOCK.findall(PAGE.read_text())
    assert shown == [draw(load())], "make diagram"
