"""The report of a run in a real browser without a network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from commands import succeeded


@pytest.fixture(scope="module")
def reported(short_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The page, alone in a folder, and the same as data."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    answer = succeeded("report", short_run, "--episodes", 50, "--exhaustive", "--output", page, "--json")
    return page, json.loads(answer.stdout)


@pytest.fixture
def seen(chromium: Browser, reported: tuple[Path, dict[str, Any]]) -> Iterator[Page]:
    """The page in the browser; a console message, an error or a network request fails the test."""
    context = chromium.new_context(offline=True, accept_downloads=True)
    page = context.new_page()
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    address = reported[0].as_uri()
    page.goto(address)
    yield page
    context.close()
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert messages == []


def test_figures_have_a_size_and_an_alternative_text(seen: Page, reported: tuple[Path, dict[str, Any]]) -> None:
    drawn = [design for design in reported[1]["designs"] if design["envelope"]]
    assert drawn
    images = seen.get_by_role("img").all()
    assert len(images) == 2 + 2 * len(drawn) + len(reported[1]["designs"])
    for image in images:
        box = image.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 150
        assert image.get_attribute("aria-label")
    assert seen.locator("svg text", has_text="growth floor").count() == len(drawn)
    assert seen.locator("svg path").count() > 20


def test_the_table_of_designs_holds_their_values(seen: Page, reported: tuple[Path, dict[str, Any]]) -> None:
    rows = [row.split("\t") for row in seen.locator("#designs tr").all_inner_texts()[1:]]
    designs = reported[1]["designs"]
    assert [row[0] for row in rows] == [design["condition"] for design in designs]
    for row, design in zip(rows, designs, strict=True):
        assert float(row[1]) == pytest.approx(design["value"], abs=6e-4)
        assert float(row[4]) == pytest.approx(design["growth"], abs=6e-5)
        assert float(row[6]) == pytest.approx(design["capacity"], abs=6e-4)
        assert float(row[7]) == pytest.approx(design["guaranteed"], abs=6e-4)


def test_each_placement_of_a_design_is_shown(seen: Page, reported: tuple[Path, dict[str, Any]]) -> None:
    placed = [(design["condition"], row) for design in reported[1]["designs"] for row in design["construct"]]
    assert placed
    for condition, row in placed:
        section = seen.locator(f"#design-{condition}")
        assert section.get_by_text(row["reaction"], exact=True).is_visible()
        assert row["ec"] in section.inner_text()


def test_missing_values_are_shown_as_dashes(seen: Page) -> None:
    assert not {"nan", "None", "Undefined"} & set(seen.inner_text("body").replace(",", " ").split())


def test_a_condition_links_to_its_design(seen: Page) -> None:
    seen.set_viewport_size({"width": 1000, "height": 500})
    section = seen.locator("#design-complex_iii_closed h3")
    seen.locator("#designs").get_by_role("link", name="complex_iii_closed").click()
    top = section.evaluate("heading => heading.getBoundingClientRect().top")
    assert 0 <= top < 500


def test_the_fluxes_are_a_download_for_escher(seen: Page, tmp_path: Path) -> None:
    with seen.expect_download() as download:
        seen.locator("#design-healthy").get_by_role("link", name="Fluxes for Escher").click()
    assert download.value.suggested_filename == "healthy_fluxes.json"
    download.value.save_as(tmp_path / "fluxes.json")
    fluxes = json.loads((tmp_path / "fluxes.json").read_text())
    assert fluxes["GAPD"] > 0
    assert all(isinstance(flux, float) for flux in fluxes.values())


def test_a_phone_scrolls_tables_but_not_the_page(seen: Page) -> None:
    seen.set_viewport_size({"width": 390, "height": 800})
    assert seen.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_prints(seen: Page) -> None:
    assert seen.pdf().startswith(b"%PDF")


def test_ids_are_unique(seen: Page) -> None:
    ids = seen.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert sorted(ids) == sorted(set(ids))
