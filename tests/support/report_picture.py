"""Draws docs/report.png, the head of a report and one of its designs: `make report-picture RUN=experiments/first`."""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from browser import NAMES
from explore_picture import save

SHOWN = "complex_i_closed"
PICTURE = Path(__file__).parents[2] / "docs/report.png"
WIDTH = 1180


def draw(page: Page, report: Path, condition: str, target: Path) -> None:
    """Write what a report shows down to the map of a design."""
    page.emulate_media(color_scheme="light")
    page.goto(f"{report.resolve().as_uri()}#design-{condition}")
    figure = page.locator(f"#design-{condition} figure").first.bounding_box()
    assert figure is not None
    below = page.evaluate("window.scrollY") + figure["y"] + figure["height"]
    page.set_viewport_size({"width": WIDTH, "height": round(below)})
    page.evaluate("window.scrollTo(0, 0)")
    save(Image.open(io.BytesIO(page.screenshot())), target, colours=256)


def main() -> None:
    """Draw the report in the folder of a run."""
    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, chromium_sandbox=False)
        draw(
            browser.new_page(viewport={"width": WIDTH, "height": 1000}),
            Path(sys.argv[1]) / "report.html",
            SHOWN,
            PICTURE,
        )
        browser.close()


if __name__ == "__main__":
    main()
