"""The parts of a page come as they are known, from a process that ends when the state moves on."""

import asyncio
import re
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from typing import Any, TypeVar

import pytest

import redox_balancer as rb
from redox_balancer.errors import RedoxError
from redox_balancer.explore.analysis import CellAnalysis, Order
from redox_balancer.explore.answers import SECONDS_PER_REACTION, Answers, RatioClock
from redox_balancer.explore.desk import Desk
from redox_balancer.explore.jobs import PageJob, searched
from redox_balancer.explore.state import ExploreState
from redox_balancer.explore.views import VIEWS, analysed
from redox_balancer.progress import no_progress

Found = TypeVar("Found")
RESCUED = ExploreState(condition="complex_i_closed", enzymes={"LBNOX_m": 1e-3, "NDE1_c": 3e-4})


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    made = Desk(rb.Task(), lambda *_: "", {"": {}})
    yield made
    made.close()


@pytest.fixture(scope="module")
def order(desk: Desk) -> Order:
    return run(desk.ask(RESCUED, lambda cell: cell.order(RESCUED)))


def run(work: Coroutine[Any, Any, Found]) -> Found:
    """Run in a thread of its own: a browser that other tests keep has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def collected(parts: AsyncGenerator[tuple[str, str], None]) -> list[tuple[str, str]]:
    return [part async for part in parts]


def rounded(text: str) -> str:
    """Numbers to six digits: a region may have answered one, and a solve the other."""
    return re.sub(r"\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.6g}", text)


def test_a_process_gives_what_the_thread_gives_each_part_as_it_is_known(order: Order) -> None:
    told: list[tuple[int, int | None]] = []
    job = PageJob(analysed, order, list(VIEWS))
    found = run(collected(job.results(lambda _, done=0, total=None: told.append((done, total)))))
    assert [part for part, _ in found] == list(VIEWS)
    here = CellAnalysis(order)
    for part, text in found:
        assert rounded(text) == rounded(VIEWS[part](here))
    assert told == [(done, 6) for done in range(6)]  # fluxes and two ratios, without and with the construct


def test_a_state_that_was_left_gets_no_more_parts_and_its_process_ends(order: Order) -> None:
    async def left() -> object:
        job = PageJob(searched, order, 600.0)
        return await job.result(lambda *_: job.cancel())

    assert run(left()) is None


def test_what_fails_in_a_process_is_said_in_one_line(order: Order) -> None:
    with pytest.raises(RedoxError, match="none") as refused:
        run(collected(PageJob(analysed, order, ["none"]).results(no_progress)))
    assert refused.value.hint


def test_what_is_known_of_a_state_is_not_computed_again(desk: Desk) -> None:
    state = RESCUED.with_bound("EX_o2_e uptake", 0.5)
    first = run(collected(Answers(desk, state, lambda *_: None).parts()))
    assert [part for part, _ in first] == list(VIEWS)
    assert desk.ratio_seconds["", ""] > 0
    for part in VIEWS:
        desk.known(state)[part] = f"kept {part}"
    again = run(collected(Answers(desk, state, lambda *_: None).parts()))
    assert again == [(part, f"kept {part}") for part in VIEWS]


def test_a_cancelled_answer_starts_no_process(desk: Desk) -> None:
    answers = Answers(desk, RESCUED.with_bound("EX_o2_e uptake", 0.4), lambda *_: None)
    answers.cancel()
    assert run(collected(answers.parts())) == []


def test_the_seconds_left_are_those_of_the_last_ratios_and_then_of_the_progress(desk: Desk, order: Order) -> None:
    told: list[tuple[float, float]] = []
    state = ExploreState(cell="HT29")
    now = chain([0.0, 10.0, 10.0, 12.0, 18.0], repeat(20.0))
    clock = RatioClock(desk, state, order, lambda *of: told.append(of), now.__next__)
    clock.progress("cell", 0, 4)
    clock.progress("cell", 1, 4)
    assert told == [
        (0.0, pytest.approx(2 * SECONDS_PER_REACTION * len(order.space.network.reactions))),
        (0.25, pytest.approx(6.0)),
    ]
    clock.stop()
    assert desk.ratio_seconds["", ""] != desk.ratio_seconds["", "HT29"] == 4.0  # 8 s for two cells
    RatioClock(desk, state, order, lambda *of: told.append(of), lambda: 0.0).progress("cell", 0, 4)
    assert told[-1] == (0.0, 8.0)
