"""The report of a run in a real browser without a network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import report_picture
from commands import succeeded

Reported = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def reported(short_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """The page, alone in a folder, and the same as data."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    answer = succeeded(
        "report", short_run, "--episodes", 50, "--exhaustive", "--front-seconds", 60, "--output", page, "--json"
    )
    return page, json.loads(answer.stdout)


@pytest.fixture
def seen(chromium: Browser, reported: Reported) -> Iterator[Page]:
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
    own = [url for url in requests if not url.startswith(("data:", "blob:"))]
    assert {url.partition("#")[0] for url in own} == {address}
    assert messages == []


def shown(page: Page) -> list[str]:
    """Conditions of the designs that are visible."""
    visible = [section for section in page.locator(".design").all() if section.is_visible()]
    return [str(section.get_attribute("id")).removeprefix("design-") for section in visible]


def test_the_picture_of_the_documentation_is_drawn_from_a_report(
    chromium: Browser, reported: Reported, tmp_path: Path
) -> None:
    page = chromium.new_page(viewport={"width": report_picture.WIDTH, "height": 1000})
    condition = reported[1]["designs"][0]["condition"]
    report_picture.draw(page, reported[0], condition, tmp_path / "report.png")
    page.close()
    for path in (tmp_path / "report.png", report_picture.PICTURE):
        with Image.open(path) as picture:
            assert picture.width == report_picture.WIDTH
            assert picture.height > picture.width
            assert np.asarray(picture.convert("L")).mean() > 200  # light
        assert path.stat().st_size < 200_000


def test_figures_have_a_size_and_an_alternative_text(seen: Page, reported: Reported) -> None:
    designs = reported[1]["designs"]
    drawn = [design for design in designs if design["envelope"]]
    assert drawn
    seen.emulate_media(media="print")
    images = seen.get_by_role("img").all()
    assert len(images) == 2 + 2 * len(drawn) + len(designs)
    for image in images:
        box = image.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 150
        assert image.get_attribute("aria-label")
    assert seen.locator("svg text", has_text="growth floor").count() == len(drawn)
    assert seen.locator("svg path").count() > 20
    # Maps refer to what they share, which is drawn: the labels of metabolites are as wide as on a map of its own.
    shared = seen.locator("#design-healthy svg use[href='#shared-2']")
    box = shared.bounding_box()
    assert box is not None
    assert box["width"] > 500


def test_numbers_are_those_of_the_library(seen: Page, reported: Reported) -> None:
    """In full in the attributes, rounded in the texts."""
    tables = {
        "#designs": (reported[1]["designs"], "value protein growth_without growth rescue capacity guaranteed"),
        "#conditions": (
            reported[1]["conditions"],
            "random_mean policy_mean best share growth_without construct_growth",
        ),
    }
    for table, (expected, names) in tables.items():
        rows = seen.locator(f"{table} tr").all()[1:]
        assert len(rows) == len(expected) == 2
        for row, values in zip(rows, expected, strict=True):
            assert row.locator("td").first.inner_text() == values["condition"]
            cells = row.locator("[data-value]").all()
            for name, cell in zip(names.split(), cells, strict=True):
                assert float(cell.get_attribute("data-value") or "nan") == pytest.approx(values[name], rel=1e-9)
                percent = 100 if "%" in cell.inner_text() else 1
                rounded = float(cell.inner_text().removesuffix("%"))
                assert rounded == pytest.approx(percent * values[name], abs=0.051 if percent > 1 else 6e-4)
    for design in reported[1]["designs"]:
        cell = seen.locator(f"#map a[href='#design-{design['condition']}'][data-value]")
        for name in ("value", "rescue"):
            assert float(cell.get_attribute(f"data-{name}") or "nan") == pytest.approx(design[name], rel=1e-9)
        amounts = seen.locator(f"#map a[href='#design-{design['condition']}'][data-fraction]").all()
        fractions = sorted(float(amount.get_attribute("data-fraction") or "nan") for amount in amounts)
        assert fractions == sorted(row["proteome_fraction"] for row in design["construct"])


def test_the_points_of_a_front_are_those_of_the_library(seen: Page, reported: Reported) -> None:
    assert reported[1]["fronts"].keys() == {design["condition"] for design in reported[1]["designs"]}
    for condition, front in reported[1]["fronts"].items():
        assert front["complete"]
        assert seen.locator(f"#design-{condition} .front a").count() == len(front["points"]) > 10
        for index, row in enumerate(front["points"]):
            point = seen.locator(f"[id='front-{condition}-{index}']")
            assert str(point.get_attribute("aria-label")).startswith(f"{row['construct']}: ")
            for name in ("growth", "growth_won_back", "capacity", "protein"):
                number = float(point.get_attribute(f"data-{name.replace('_', '-')}") or "nan")
                assert number == pytest.approx(row[name], rel=1e-9)
    # The best design is on the front where its reward has no other terms: nothing else is worth as much.
    for design in reported[1]["designs"]:
        points = reported[1]["fronts"][design["condition"]]["points"]
        least = 1.0 - 1e-6
        assert any(
            point["growth"] >= least * design["growth"]
            and point["capacity"] >= least * design["capacity"]
            and point["protein"] <= design["protein"] / least
            for point in points
        )


def test_a_point_shows_its_construct_and_its_numbers(seen: Page, reported: Reported) -> None:
    front = seen.locator("#design-healthy .front")
    point = reported[1]["fronts"]["healthy"]["points"][-1]
    front.locator("a").first.click()  # the one of the most protein, drawn first
    assert front.locator("output").inner_text().startswith(f"{point['construct']}: ")
    assert front.locator("a[aria-current]").count() == 1
    seen.keyboard.press("ArrowRight")
    seen.keyboard.press("Enter")
    chosen = front.locator("a[aria-current]")
    assert chosen.count() == 1
    assert front.locator("output").inner_text() == chosen.get_attribute("aria-label") != point["construct"]
    assert seen.url.endswith(f"#{chosen.get_attribute('id')}")
    seen.goto("about:blank")
    seen.goto(f"{reported[0].as_uri()}#front-complex_iii_closed-3")
    expect(seen.locator("#design-complex_iii_closed")).to_be_visible()
    assert shown(seen) == ["complex_iii_closed"]
    expected = reported[1]["fronts"]["complex_iii_closed"]["points"][3]["construct"]
    assert seen.locator("#design-complex_iii_closed output").inner_text().startswith(f"{expected}: ")


def test_each_placement_of_a_design_is_shown_with_its_sources(seen: Page, reported: Reported) -> None:
    seen.emulate_media(media="print")
    placed = [(design["condition"], row) for design in reported[1]["designs"] for row in design["construct"]]
    assert placed
    for condition, row in placed:
        section = seen.locator(f"#design-{condition}")
        assert section.get_by_text(row["reaction"], exact=True).is_visible()
        assert row["ec"] in section.inner_text()
        for figure in row["figures"].values():
            assert figure["source"] in section.inner_text()


def test_missing_values_are_shown_as_dashes(seen: Page) -> None:
    seen.emulate_media(media="print")
    assert not {"nan", "None", "Undefined"} & set(seen.inner_text("body").replace(",", " ").split())


def test_a_click_shows_one_design(seen: Page) -> None:
    assert shown(seen) == ["healthy"]
    seen.set_viewport_size({"width": 1000, "height": 500})
    section = seen.locator("#design-complex_iii_closed h3")
    for table in ("#map", "#designs"):
        for design in ("healthy", "complex_iii_closed"):
            seen.locator(f"{table} a[href='#design-{design}']").first.click()
            expect(seen.locator(f"#design-{design}")).to_be_visible()  # the page hears of it a little later
            assert shown(seen) == [design]
        top = section.evaluate("heading => heading.getBoundingClientRect().top")
        assert 0 <= top < 500
    chosen = seen.locator("#map a[aria-current]")
    assert {link.get_attribute("href") for link in chosen.all()} == {"#design-complex_iii_closed"}


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("design-complex_iii_closed", "complex_iii_closed"),
        ("design-complex%5fiii_closed", "complex_iii_closed"),
        ("front-complex_iii_closed-2", "complex_iii_closed"),
        ("nowhere", "healthy"),
        ("%E0%A4%A", "healthy"),
    ],
)
def test_a_link_from_elsewhere_leads_to_its_design(seen: Page, reported: Reported, link: str, expected: str) -> None:
    seen.goto("about:blank")
    seen.goto(f"{reported[0].as_uri()}#{link}")
    assert shown(seen) == [expected]


def test_the_keyboard_alone_reaches_every_cell(seen: Page, reported: Reported) -> None:
    focused = "document.activeElement.getAttribute('href')"
    while seen.evaluate(focused) != "#design-healthy":
        seen.keyboard.press("Tab")
    seen.keyboard.press("ArrowDown")
    assert seen.evaluate(focused) == "#design-complex_iii_closed"
    seen.keyboard.press("ArrowDown")  # there is no cell below
    assert seen.evaluate(focused) == "#design-complex_iii_closed"
    seen.keyboard.press("Enter")
    seen.wait_for_function("document.activeElement.id === 'design-complex_iii_closed'")
    expect(seen.locator("#design-complex_iii_closed")).to_be_visible()
    assert shown(seen) == ["complex_iii_closed"]
    reached: set[str] = set()
    seen.reload()
    for _ in range(seen.locator("a, input").count()):
        seen.keyboard.press("Tab")
        reached.add(str(seen.evaluate(focused)))
    assert {f"#design-{design['condition']}" for design in reported[1]["designs"]} <= reached


def test_the_colours_follow_what_is_chosen(seen: Page) -> None:
    colours = "cells => cells.map(cell => getComputedStyle(cell).backgroundColor)"
    cells = seen.locator("#map td:has([data-value])")
    before = cells.evaluate_all(colours)
    seen.get_by_role("radio", name="growth won back").check()
    assert cells.evaluate_all(colours) != before


def test_without_javascript_all_designs_are_shown(chromium: Browser, reported: Reported) -> None:
    context = chromium.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(reported[0].as_uri())
    assert shown(page) == ["healthy", "complex_iii_closed"]
    assert not page.locator("a.escher").first.is_visible()
    context.close()


def test_a_design_is_a_download_for_escher(seen: Page, tmp_path: Path) -> None:
    files = {}
    for name in ("fluxes", "map"):
        with seen.expect_download() as download:
            seen.locator("#design-healthy").get_by_role("link", name=f"{name.capitalize()} for Escher").click()
        assert download.value.suggested_filename == f"healthy_{name}.json"
        download.value.save_as(tmp_path / f"{name}.json")
        files[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert files["fluxes"]["GAPD"] > 0
    assert all(isinstance(flux, float) for flux in files["fluxes"].values())
    drawn = {reaction["bigg_id"] for reaction in files["map"][1]["reactions"].values()}
    placed = {name for name in files["fluxes"] if name.startswith("SINK_")}
    assert {"GAPD"} | placed <= drawn


def test_a_phone_scrolls_tables_but_not_the_page(seen: Page) -> None:
    seen.set_viewport_size({"width": 390, "height": 800})
    assert seen.evaluate("document.documentElement.scrollWidth") <= 390


def test_texts_have_contrast_in_light_and_dark(seen: Page) -> None:
    """At least 4.5 by WCAG 2.2, 1.4.3, also over the fullest colours of the heat map."""
    contrast = """texts => {
      const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
      const over = (top, below) => below.map((c, i) => c + (top[i] - c) * (top[3] ?? 1));
      const light = (c) => c.slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      return Math.min(...texts.map((text) => {
        let ground = rgb(getComputedStyle(document.body).backgroundColor).slice(0, 3);
        for (const at of new Set([text.closest("td"), text])) {
          if (at) ground = over(rgb(getComputedStyle(at).backgroundColor), ground);
        }
        const [a, b] = [light(rgb(getComputedStyle(text).color)), light(ground)].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
      }));
    }"""
    for scheme in ("light", "dark"):
        seen.emulate_media(color_scheme=scheme)
        assert seen.locator("p, h1, h2, h3, th, td, a, small, figcaption, label").evaluate_all(contrast) >= 4.5


def test_all_designs_are_printed(seen: Page) -> None:
    seen.emulate_media(media="print")
    assert shown(seen) == ["healthy", "complex_iii_closed"]
    printed = seen.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594" in printed  # A4 is 595 x 842 pt
    assert printed.count(b"/Type /Page\n") >= 4


def test_ids_are_unique(seen: Page) -> None:
    ids = seen.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert sorted(ids) == sorted(set(ids))
