"""Draws docs/explore.png, the page of `redox explore` with a rescued cell: `make explore-picture`."""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from browser import NAMES
from explored import opened, served
from redox_balancer.explore.state import ExploreState

SHOWN = ExploreState(condition="complex_i_closed", enzymes={"LBNOX_m": 1e-3, "NDE1_c": 3e-4})
PICTURE = Path(__file__).parents[2] / "docs/explore.png"
COLOURS = 96


def save(picture: Image.Image, path: Path, colours: int = COLOURS) -> None:
    """Write a picture of a page as a PNG file with few colours."""
    few = picture.convert("RGB").quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def main() -> None:
    """Open the page, and write what it shows, with few colours."""
    path = next(filter(None, map(shutil.which, NAMES)))
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as driver,
        served(cwd=Path(folder)) as (address, _),
    ):
        browser = driver.chromium.launch(executable_path=path, chromium_sandbox=False)
        with opened(browser, f"{address}?{SHOWN.query()}") as seen:
            seen.settle(SHOWN)
            seen.page.set_viewport_size({"width": 1280, "height": 1080})
            picture = Image.open(io.BytesIO(seen.page.screenshot()))
        browser.close()
    save(picture, PICTURE)


if __name__ == "__main__":
    main()
