"""The page of `redox explore` in a real browser."""

import http.client
import json
import re
import shlex
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

import redox_balancer as rb
from commands import redox, redox_process
from explored import Explored, opened, served
from redox_balancer.cell.embedded import core_json
from redox_balancer.explore.state import ExploreState

CLOSE = 1e-9
RESCUED = ExploreState(condition="complex_i_closed", enzymes={"LBNOX_m": 1e-3, "NDE1_c": 3e-4})


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("explored")
    (folder / "broken.json").write_text('{"reactions": []}')
    half = json.loads(core_json().read_text()) | {"id": "half_the_oxygen"}
    for reaction in half["reactions"]:
        reaction["lower_bound"] /= 2 if reaction["id"] == "EX_o2_e" else 1
    (folder / "half.json").write_text(json.dumps(half))
    with served(cwd=folder) as (found, _):
        yield found
    assert len(list(folder.iterdir())) == 2  # nothing is written where it runs


@pytest.fixture
def seen(chromium: Browser, address: str) -> Iterator[Explored]:
    with opened(chromium, address) as page:
        page.settle(ExploreState())
        yield page


def same(seen: Explored, found: rb.Evaluation) -> None:
    """Compare what the page shows with an evaluation by the library."""
    for name in ("value", "growth", "capacity", "rescue", "growth_without", "healthy_growth"):
        assert seen.value(name) == pytest.approx(getattr(found, name), rel=CLOSE, abs=CLOSE)


def test_a_slider_and_an_enzyme_give_the_numbers_of_the_library(seen: Explored) -> None:
    seen.slider("EX_glc__D_e uptake").fill("0.32")
    state = ExploreState().with_bound("EX_glc__D_e uptake", 0.32)
    seen.settle(state)
    seen.page.get_by_role("button", name="Put in").click()
    state = state.with_enzyme("LBNOX_c", 1e-3)
    seen.settle(state)
    model = rb.load_model()
    model.reactions.EX_glc__D_e.lower_bound = -0.32
    found = rb.evaluate(rb.Task(model=model), state.enzymes)
    assert seen.value("growth") == pytest.approx(found.growth, rel=CLOSE)
    assert seen.value("capacity") == pytest.approx(found.capacity, rel=CLOSE)
    assert seen.value("soluble") == 1e-3
    seen.exact("EX_glc__D_e uptake").fill("0.64")
    seen.exact("EX_glc__D_e uptake").press("Enter")
    seen.settle(state.with_bound("EX_glc__D_e uptake", 0.64))
    same(seen, rb.evaluate(rb.Task(), state.enzymes))
    assert seen.page.locator("#part-map svg").count() == 1


def test_a_link_shows_the_same_again(seen: Explored, address: str) -> None:
    seen.open(f"{address}?{RESCUED.query()}")
    seen.settle(RESCUED)
    same(seen, rb.evaluate(rb.Task(), RESCUED.enzymes, RESCUED.condition))
    first = {name: seen.value(name) for name in ("value", "growth")}
    seen.slider("EX_o2_e uptake").fill("0.5")
    moved = RESCUED.with_bound("EX_o2_e uptake", 0.5)
    seen.settle(moved)
    moved_value = seen.value("value")
    assert moved_value != first["value"]
    link = seen.page.url
    seen.open("about:blank")
    seen.open(link)
    model = link.split("model=")[1].split("&")[0]
    seen.settle(moved.changed(model=model))
    assert seen.value("value") == moved_value
    assert float(seen.slider("EX_o2_e uptake").input_value()) == 0.5


def choose_model(seen: Explored, name: str) -> None:
    """Choose a model by its name."""
    seen.page.get_by_role("combobox", name="Model").click()
    seen.page.get_by_role("option", name=name).click()


def test_a_model_of_the_folder_is_chosen_and_a_broken_one_leaves_the_page_as_it_was(seen: Explored) -> None:
    before, half = seen.value("growth"), ExploreState(model_name="half.json")
    choose_model(seen, "broken.json")
    seen.page.get_by_role("alert").filter(has_text="it contains no reactions; use a metabolic model").wait_for()
    assert "human_redox_core" in seen.page.locator(".model").inner_text()
    assert seen.value("growth") == before
    choose_model(seen, "half.json")
    seen.settle(half)
    assert seen.problem == ""
    model = rb.load_model()
    model.reactions.EX_o2_e.lower_bound /= 2
    found = rb.evaluate(rb.Task(model=model), {})
    assert seen.value("growth") == pytest.approx(found.growth, rel=CLOSE)
    assert seen.page.locator("h1").inner_text() == "Explore half_the_oxygen"
    assert "half.json" in str(seen.page.locator("#command").text_content())
    link = seen.page.url
    seen.open("about:blank")
    seen.open(link)
    seen.settle(half.changed(model=link.split("model=")[1].split("&")[0]))
    assert seen.value("growth") == pytest.approx(found.growth, rel=CLOSE)


def test_steps_are_undone_and_done_again(seen: Explored) -> None:
    undo, redo = (seen.page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    assert undo.is_disabled()
    before = seen.value("growth")
    seen.slider("EX_o2_e uptake").fill("0.3")
    moved = ExploreState().with_bound("EX_o2_e uptake", 0.3)
    seen.settle(moved)
    after = seen.value("growth")
    undo.click()
    seen.settle(ExploreState())
    assert seen.value("growth") == before != after
    assert float(seen.slider("EX_o2_e uptake").input_value()) == 1.0
    redo.click()
    seen.settle(moved)
    assert seen.value("growth") == after
    seen.page.locator("h1").click()
    seen.page.keyboard.press("Control+z")
    seen.settle(ExploreState())


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("condition=cold", "cold"),
        ("enzyme=LBNOX_c+0.002", "no level"),
        ("bound=EX_o2_e+uptake+7", "out of range"),
        ("model=00000000", "another model"),
        ("file=/etc/passwd", "no state of the page"),
        ("cell=HeLa", "no cell line"),
        ("model_name=/etc/passwd", "no model"),
        ("model_name=broken.json", "no reactions"),
    ],
)
def test_a_link_that_does_not_fit_is_said_in_one_line(seen: Explored, address: str, query: str, says: str) -> None:
    seen.open(f"{address}?{query}")
    seen.page.get_by_role("alert").filter(has_text=says).wait_for()
    assert "\n" not in seen.problem
    assert seen.page.locator("#numbers").count() == 0
    assert "Traceback" not in seen.page.content()
    seen.slider("EX_o2_e uptake").fill("0.5")
    seen.settle(ExploreState().with_bound("EX_o2_e uptake", 0.5))
    assert seen.problem == ""


def test_what_cannot_be_leaves_no_number_that_looks_valid(seen: Explored) -> None:
    seen.exact("EX_o2_e uptake").fill("70")
    seen.exact("EX_o2_e uptake").press("Enter")
    seen.page.get_by_role("alert").filter(has_text="out of range").wait_for()
    assert seen.page.locator("#numbers").count() == 0
    assert seen.page.locator("#part-map svg").count() == 0
    seen.exact("EX_o2_e uptake").fill("")
    seen.exact("EX_o2_e uptake").press("Enter")
    seen.settle(ExploreState())
    seen.slider("EX_glc__D_e uptake").fill("0")
    dead = ExploreState().with_bound("EX_glc__D_e uptake", 0.0).with_bound("EX_gln__L_e uptake", 0.0)
    seen.slider("EX_gln__L_e uptake").fill("0")
    seen.settle(dead)
    assert seen.value("growth") == 0.0
    assert "does not grow here" in seen.page.locator("#part-numbers").inner_text()
    assert seen.page.locator("#part-map svg").count() == 0


def request(address: str, **headers: str) -> int:
    """Status of the start page under other headers."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", "/", headers=headers)
    return connection.getresponse().status


def test_the_page_is_for_this_machine_alone(address: str) -> None:
    here = urlsplit(address).netloc
    assert request(address) == 200
    assert request(address, Host=here.replace("127.0.0.1", "localhost")) == 200
    assert request(address, Host="evil.example") == 403
    assert request(address, Host=f"evil.example:{here.split(':')[1]}") == 403
    assert request(address, Origin="http://evil.example") == 403
    assert request(address, Origin=f"http://{here}") == 200


def test_a_phone_scrolls_parts_but_not_the_page(seen: Explored) -> None:
    seen.page.set_viewport_size({"width": 390, "height": 800})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_port_in_use_and_a_foreign_model_end_with_a_hint(address: str, tmp_path: Path) -> None:
    port = urlsplit(address).port
    answer = redox_process("explore", "--no-browser", "--port", port)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"port {port}" in answer.stderr
    assert "(--port)" in answer.stderr
    foreign = tmp_path / "model.json"
    foreign.write_text("{}")
    for model in (foreign, tmp_path / "none.json"):
        answer = redox("explore", "--no-browser", "--port", 0, "--model", model)
        assert answer.returncode == 2
        assert "hint:" in answer.stderr


def tab_to(seen: Explored, what: str, *, back: bool = False) -> None:
    """Press Tab until the focus is on an element, whose focus can be seen."""
    for _ in range(120):
        seen.page.keyboard.press("Shift+Tab" if back else "Tab")
        if seen.page.evaluate("what => document.activeElement.matches(what)", what):
            shown = "s => s.outlineStyle != 'none' || s.boxShadow != 'none'"
            framed = "shows => e => [e, e.closest('.q-field')].some(e => e && shows(getComputedStyle(e)))"
            assert seen.page.evaluate(f"({framed})({shown})(document.activeElement)"), what
            return
    raise AssertionError(f"the focus does not come to {what}")


def test_the_keyboard_alone_suffices(seen: Explored) -> None:
    key = seen.page.keyboard.press
    tab_to(seen, '[role=combobox][aria-label="Condition"]')
    key("Enter")
    seen.page.get_by_role("option").first.wait_for()
    key("ArrowDown")
    key("ArrowDown")
    key("Enter")
    state = ExploreState(condition="complex_i_closed")
    seen.settle(state)
    tab_to(seen, "button.put-in")
    key("Enter")
    state = state.with_enzyme("LBNOX_c", 1e-3)
    seen.settle(state)
    tab_to(seen, '[data-bound="EX_glc__D_e uptake"] input[type=range]')
    key("ArrowRight")
    seen.settle(state.with_bound("EX_glc__D_e uptake", float(seen.slider("EX_glc__D_e uptake").input_value())))
    assert "growth" in str(seen.page.locator("[aria-live=polite]").text_content())
    tab_to(seen, "button.undo", back=True)
    key("Enter")
    seen.settle(state)
    same(seen, rb.evaluate(rb.Task(), state.enzymes, state.condition))
    tab_to(seen, "button.design")
    key("Space")
    found = seen.page.locator("#numbers [data-name=value]")
    found.filter(has_text="0.8724").wait_for(timeout=60_000)


def test_every_control_has_a_name_and_ids_are_unique(seen: Explored) -> None:
    for role in ("slider", "spinbutton", "combobox", "button"):
        for control in seen.page.get_by_role(role).all():  # type: ignore[arg-type]
            named = control.evaluate(
                "e => e.ariaLabel || e.innerText || (e.labels && [...e.labels].map(l => l.innerText).join())"
            )
            assert named, control.evaluate("e => e.outerHTML")
    ids = seen.page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert sorted(ids) == sorted(set(ids))


def test_design_it_for_me_puts_a_construct_in(seen: Explored, address: str) -> None:
    seen.open(f"{address}?condition=complex_iii_closed&bound=EX_glc__D_e+uptake+0.9&bound=EX_o2_e+uptake+0.5")
    seconds = seen.page.get_by_label("Seconds it may take")
    seconds.fill("2")
    seen.page.get_by_role("button", name="Design", exact=True).click()
    seen.page.locator("[data-enzyme]").first.wait_for(timeout=60_000)
    seen.page.locator("#used [data-name^=used]").first.wait_for()
    assert seen.value("value") > 0.1
    seconds.fill("0")
    seen.page.get_by_role("button", name="Design", exact=True).click()
    seen.page.get_by_role("alert").filter(has_text="no time").wait_for()


def test_the_model_the_conditions_and_the_command_say_the_same_as_the_page(
    seen: Explored, address: str, tmp_path: Path
) -> None:
    state = RESCUED.with_bound("EX_glc__D_e uptake", 0.9).with_bound("NADH2_u10mi flux", 0.3)
    seen.open(f"{address}?{state.query()}")
    seen.settle(state)
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name="Download conditions").click()
    download.value.save_as(tmp_path / "explored.toml")
    task = rb.Task(conditions_file=tmp_path / "explored.toml", conditions="explored")
    same(seen, rb.evaluate(task, state.enzymes, "explored"))
    with seen.page.expect_download(timeout=60_000) as download:
        seen.page.get_by_role("button", name="Download model").click()
    download.value.save_as(tmp_path / "explored.zip")
    with zipfile.ZipFile(tmp_path / "explored.zip") as archive:
        archive.extractall(tmp_path)
    written = json.loads((tmp_path / "explored/design.json").read_text())
    assert written["value"] == pytest.approx(seen.value("value"), rel=CLOSE)
    assert (tmp_path / "explored/model.xml").stat().st_size > 1e5
    words = shlex.split(str(seen.page.locator("#command").text_content()))
    answer = redox(*words[1:-2], "--quick", "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["value"] == pytest.approx(seen.value("value"), rel=CLOSE)


def test_the_link_is_copied(seen: Explored) -> None:
    seen.page.get_by_role("button", name="Copy link").click()
    seen.page.locator("[aria-live=polite]").filter(has_text="copied").wait_for()
    assert seen.page.evaluate("navigator.clipboard.readText()") == seen.page.url


def test_a_run_is_shown_and_followed(chromium: Browser, short_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(short_run, run, symlinks=True)
    rows = (run / "metrics.csv").read_text().splitlines(keepends=True)[:2]  # of as many as its seconds
    (run / "metrics.csv").write_text("".join(rows))
    with served(run, cwd=tmp_path) as (address, _), opened(chromium, address) as seen:
        seen.page.locator("#run [data-name=status]").filter(has_text="finished").wait_for()
        curve = seen.page.get_by_role("img", name="mean value of the constructs against environment steps")
        first = curve.inner_html()
        value = float(str(seen.page.locator("#constructs [data-value]").first.get_attribute("data-value")))
        (run / "metrics.csv").write_text("".join([*rows, re.sub(r"^\d+", "12345", rows[-1])]))
        beat = json.loads((run / "heartbeat.json").read_text()) | {"status": "training", "step": 12_345}
        (run / "heartbeat.json").write_text(json.dumps(beat | {"written_at": time.time()}))
        seen.page.locator("#run [data-name=step][data-value='12345']").wait_for(timeout=20_000)
        assert curve.inner_html() != first
        seen.page.locator("#constructs a").first.click()
        seen.page.locator("#used [data-name^=used]").first.wait_for(timeout=20_000)
        assert seen.value("value") == pytest.approx(value, rel=CLOSE)
        (run / "metrics.csv").write_text("steps,updates\n1,x\n")
        seen.page.locator(".warning").first.wait_for(timeout=20_000)
    answer = redox("explore", tmp_path, "--no-browser", "--port", 0)
    assert answer.returncode == 2
    assert "no run" in answer.stderr
