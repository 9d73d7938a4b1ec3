"""`make docs` builds the documentation without a warning; in a browser its pages make no request to others."""

import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    shutil.which("npm") is None, reason="npm, which fetches the scripts of the site, is not installed"
)
@pytest.mark.timeout(300)
def test_the_site_is_built_draws_its_diagrams_and_asks_no_other_machine(chromium: Browser) -> None:
    subprocess.run(["make", "-C", ROOT, "docs"], check=True, capture_output=True, text=True)
    pages = sorted(page for folder in ("", "notebooks") for page in (ROOT / "build/site" / folder).glob("*.html"))
    assert {"index.html", "python.html", "first_design.html", "aws.html"} <= {page.name for page in pages}
    page = chromium.new_page()
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    for path in pages:
        page.goto(path.as_uri())
    page.goto((ROOT / "build/site/architecture.html").as_uri())
    page.locator(".mermaid").first.wait_for()
    assert not page.locator("pre.mermaid").count()
    page.goto((ROOT / "build/site/notebooks/first_design.html").as_uri())
    assert page.locator('img[src^="data:image/svg"]').count()  # the map
    page.get_by_placeholder("Search").click()
    page.keyboard.type("transhydrogenase")
    page.locator(".md-search-result__item").first.wait_for()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert failed == []
    page.close()
