"""A search on the page of `redox explore` in a real browser."""

from pathlib import Path

from playwright.sync_api import Browser

from explored import opened, served
from redox_balancer.explore.state import ExploreState


def test_a_search_shows_progress_beside_a_page_that_lives_and_can_be_cancelled(
    chromium: Browser, tmp_path: Path
) -> None:
    # A search that takes longer than any computer needs to cancel it.
    with (
        served("--placements", 10, "--reward", "guaranteed", cwd=tmp_path) as (address, _),
        opened(chromium, address) as page,
    ):
        page.settle(ExploreState())
        page.page.get_by_label("Seconds it may take").fill("300")
        page.page.get_by_role("button", name="Design", exact=True).click()
        work = page.page.locator("#work")
        work.filter(has_text="search").wait_for()
        page.slider("EX_o2_e uptake").fill("0.5")
        page.settle(ExploreState().with_bound("EX_o2_e uptake", 0.5))
        assert work.is_visible()
        page.page.get_by_role("button", name="Cancel").click()
        work.wait_for(state="hidden")
        assert page.problem == ""
        assert page.page.locator("[data-enzyme]").count() == 0
