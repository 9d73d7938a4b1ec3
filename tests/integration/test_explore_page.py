"""The page of `redox explore` in a real browser."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

import redox_balancer as rb
from commands import redox, redox_process
from explored import Explored, opened, served
from redox_balancer.explore.state import ExploreState

CLOSE = 1e-9
RESCUED = ExploreState(condition="complex_i_closed", enzymes={"LBNOX_m": 1e-3, "NDE1_c": 3e-4})


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("explored")
    with served(cwd=folder) as (found, _):
        yield found
    assert list(folder.iterdir()) == []  # nothing is written where it runs


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
    first = {name: seen.value(name) for name in ("value", "growth", "used-LBNOX_m")}
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
