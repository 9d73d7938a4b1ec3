"""A served page of `redox explore` in a browser that refuses to leave this machine."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from commands import REDOX
from redox_balancer.explore.state import ExploreState

PARTS = "map", "pressure", "ratios"


@contextmanager
def served(*arguments: object, cwd: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a page on any free port; Ctrl-C ends it in the end, without a word."""
    command = [str(REDOX), "explore", "--no-browser", "--port", "0", *map(str, arguments)]
    # NiceGUI serves its own tests in another way.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    server = subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        said: list[str] = []
        while not said or "http://" not in said[-1]:
            said.append(server.stderr.readline())
            assert said[-1], "".join(said)
        yield said[-1].split()[0], server
        assert server.poll() is None, "".join(server.stderr)
    finally:
        server.send_signal(signal.SIGINT)
        left = server.communicate(timeout=30)[1]
    assert (server.returncode, left) == (0, "")


@dataclass
class Explored:
    """A page that is open."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        """Open an address."""
        self.page.goto(address)

    def settle(self, state: ExploreState | None = None) -> None:
        """Wait until everything is answered, of this state."""
        if state is not None:
            self.page.locator(f"[data-state={_quoted(state.query())}]").wait_for(timeout=30_000)
        for part in PARTS:
            self.page.locator(f'#part-{part}[aria-busy="false"]').wait_for(timeout=30_000)

    def value(self, name: str) -> float:
        """A number with all its digits."""
        return float(str(self.page.locator(f"#numbers [data-name={_quoted(name)}]").get_attribute("data-value")))

    def slider(self, key: str) -> Any:
        """The slider of a bound."""
        return self.page.locator(f"[data-bound={_quoted(key)}] input[type=range]")

    def exact(self, key: str) -> Any:
        """The number beside it."""
        return self.page.locator(f"[data-bound={_quoted(key)}] input[type=number]")

    @property
    def problem(self) -> str:
        """The line that says what is wrong."""
        return str(self.page.locator(".problem").text_content())


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Explored]:
    """The page in a browser of its own; a request to elsewhere, an error or a message fails the test."""
    context = browser.new_context(accept_downloads=True, viewport={"width": 1300, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen = Explored(context.new_page())
    context.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("console", lambda message: seen.messages.append(message.text))
    seen.page.on("pageerror", lambda error: seen.messages.append(str(error)))
    try:
        seen.open(address)
        yield seen
    finally:
        context.close()
    here = address.partition("?")[0]
    assert [url for url in seen.requests if not url.startswith((here, "data:", "blob:"))] == []
    assert seen.messages == []


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
