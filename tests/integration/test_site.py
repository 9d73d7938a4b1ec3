"""`make docs` builds the documentation without a warning and runs its notebooks; its pages ask no other machine."""

import html
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from commands import ran

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "docs/notebooks").glob("*.py"))}
SHOWN = {
    "aws": ["in total", "data:image/png"],
    "cell_line": [
        "patient: 1.73 lactate per glucose",
        "patient+complex_iii_closed: LBNOX_c 0.1 % + AOX_m",
        "data:image/png",
    ],
    "first_design": [
        "proven optimal",
        "LBNOX_c 0.1 % + TPNOX_c 0.03 %, value 0.7006",
        "data:image/svg+xml",
        "data:image/png",
    ],
    "own_enzyme": ["MYNOX_m 0.1 %, value", "data:image/png"],
    "reductive_stress": [
        "pdh_deficiency: growth 0.0162 1/h, 80.8% lost; not redox",
        "data:image/svg+xml",
        "data:image/png",
    ],
    "why_learn": ["search 100.0% after", "data:image/png"],
}
"""What the page of each notebook holds once it has run: texts, and types of figures."""


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, with its notebooks run; one that fails, fails the build."""
    if shutil.which("npm") is None:
        pytest.skip("npm, which fetches the scripts of the site, is not installed")
    before = set((ROOT / "docs/notebooks").iterdir())
    built = ran(["make", "-C", ROOT, "docs"])
    assert built.returncode == 0, built.stderr
    assert set((ROOT / "docs/notebooks").iterdir()) == before
    return ROOT / "build/site"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_it_promises(name: str, site: Path) -> None:
    page = html.unescape(re.sub(r"</?span[^>]*>", "", (site / "notebooks" / f"{name}.html").read_text()))
    assert [text for text in SHOWN[name] if text not in page] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_ends_with_what_to_do_next_and_its_links_lead_to_pages(name: str) -> None:
    text = NOTEBOOKS[name].read_text().replace("\n#", "")
    assert "## Next" in NOTEBOOKS[name].read_text().rpartition("# %% [markdown]")[2]
    links = re.findall(r"\]\(\s*([\w./-]+)\.html\)", text)
    assert links
    for link in links:
        page = NOTEBOOKS[name].parent / link
        assert page.with_suffix(".md").is_file() or page.with_suffix(".py").is_file(), link


def test_the_index_and_the_site_list_every_notebook() -> None:
    index, listed = (ROOT / "docs/index.md").read_text(), (ROOT / "mkdocs.yml").read_text()
    assert all(f"(notebooks/{name}.py)" in index and f": notebooks/{name}.py\n" in listed for name in NOTEBOOKS)


@pytest.mark.timeout(300)
def test_the_site_draws_its_diagrams_and_asks_no_other_machine(chromium: Browser, site: Path) -> None:
    pages = sorted(page for folder in ("", "notebooks") for page in (site / folder).glob("*.html"))
    assert {"index.html", "python.html", "first_design.html", "aws.html"} <= {page.name for page in pages}
    page = chromium.new_page()
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    for path in pages:
        page.goto(path.as_uri())
    page.goto((site / "architecture.html").as_uri())
    page.locator(".mermaid").first.wait_for()
    assert not page.locator("pre.mermaid").count()
    page.goto((site / "notebooks/first_design.html").as_uri())
    assert page.locator('img[src^="data:image/svg"]').count()  # the map
    page.get_by_placeholder("Search").click()
    page.keyboard.type("transhydrogenase")
    page.locator(".md-search-result__item").first.wait_for()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert failed == []
    page.close()
