"""`redox explore`: a thousand actions leave server and browser as they were; `make drills DRILL=explore`."""

from pathlib import Path

import psutil
from playwright.sync_api import Browser

from browser import chromium
from explored import opened, served
from redox_balancer.explore.state import ExploreState

__all__ = ["chromium"]

ACTIONS = """async ([from, to]) => {
  const range = document.querySelector('[data-bound="EX_glc__D_e uptake"] input[type=range]');
  for (let n = from; n < to; n++) {
    if (n % 20 == 10) document.querySelector('.put-in').click();
    else if (n % 20 == 0) document.querySelector('.undo').click();
    else { range.value = (n % 193) / 193; range.dispatchEvent(new Event('input')); }
    await new Promise(done => setTimeout(done, 5));
  }
}"""


def test_a_thousand_actions_leak_nothing(chromium: Browser, tmp_path: Path) -> None:
    with served(cwd=tmp_path) as (address, server), opened(chromium, address) as seen:
        seen.settle(ExploreState())
        inspector, used = seen.page.context.new_cdp_session(seen.page), []
        for first, last in ((0, 700), (700, 1700)):  # the first ones fill what is remembered
            seen.page.evaluate(ACTIONS, [first, last])
            seen.settle()
            inspector.send("HeapProfiler.collectGarbage")
            heap = seen.page.evaluate("performance.memory.usedJSHeapSize")
            used.append((psutil.Process(server.pid).memory_full_info().uss, heap))
        warm, after = used
        assert after[0] - warm[0] < 15e6, used
        assert after[1] - warm[1] < 3e6, used
