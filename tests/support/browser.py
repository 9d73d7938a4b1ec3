"""A headless Chromium, the installed one; without it, tests are skipped with a reason.

With REDOX_BROWSER=required, as in CI, a missing browser fails.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        text = "no Chromium is installed, so the page is not tested here (on Debian: apt-get install chromium)"
        if os.environ.get("REDOX_BROWSER") == "required":
            pytest.fail(text)
        pytest.skip(text)
    with sync_playwright() as driver:
        # Chromium's sandbox does not run as root; the pages are our own.
        browser = driver.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()
