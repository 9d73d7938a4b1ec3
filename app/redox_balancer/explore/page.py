"""The page: controls on one side, numbers and map on the other; nothing is computed here."""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from nicegui import background_tasks, ui

from redox_balancer.cell.conditions import Side
from redox_balancer.errors import RedoxError
from redox_balancer.explore.desk import CONDITIONS_FILE, Desk
from redox_balancer.explore.elements import STYLE, AnswerParts, Bound, ModelChoice, WorkLine, run_box
from redox_balancer.explore.jobs import exported, searched
from redox_balancer.explore.numbers import ExploredCell
from redox_balancer.explore.quantities import Quantity
from redox_balancer.explore.state import ExploreState, History
from redox_balancer.explore.toml import conditions_file
from redox_balancer.explore.views import NUMBERS, numbers, spoken

LONGEST_S = 3600.0
"""Longest search, s."""
GROUPS: dict[str, Callable[[Quantity, float], bool]] = {
    "Uptake, mmol/gDW/h": lambda q, usual: q.side is Side.UPTAKE and usual > 0,
    "Release, mmol/gDW/h": lambda q, _: q.side is Side.EXPORT,
    "Enzymes of the cell: largest flux, mmol/gDW/h": lambda q, _: q.side is Side.FLUX,
    "Uptakes that the medium closes": lambda q, usual: q.side is Side.UPTAKE and not usual,
}


class ExplorePage:
    """One opened page: its states, its controls, and what it shows of the cell."""

    def __init__(self, desk: Desk, cell: ExploredCell, state: ExploreState) -> None:
        self._desk, self._cell, self._client = desk, cell, ui.context.client
        self._history = History(state)
        self._showing = False  # whether controls follow the state, and not the other way round
        self._shown = state.enzymes
        self._turn = 0  # of the state that is asked about
        self._answering = self._failed = False
        self._bounds: dict[str, Bound] = {}

    @property
    def state(self) -> ExploreState:
        """What is shown."""
        return self._history.state

    def build(self, values: Mapping[str, float], wrong: RedoxError | None = None) -> None:
        """Make the page, with sliders at these values; `wrong` is said in place of answers."""
        ui.add_css(STYLE)
        ui.colors(primary="#005a8c", negative="#a03b00")
        self._heading = ui.html("", sanitize=False, tag="h1")
        self._problem = ui.label("").classes("problem").props("role=alert")
        if self._desk.run is not None:
            run_box(self._desk.run)
        with ui.element("div").classes("desk"):
            with ui.element("section").props('aria-label="Cell and enzymes"'):
                self._controls()
            with ui.element("section").classes("answers").props('aria-label="Answers"'):
                self._live = ui.label("").classes("silent").props("role=status aria-live=polite")
                self._work = WorkLine()
                self._parts = AnswerParts(self._desk)
        ui.keyboard(self._key)
        self._show(self.state, values)
        if wrong is None:
            self._follow()
        else:
            self._fail(wrong)

    def _say(self, error: RedoxError) -> None:
        """Say in one line what is wrong and what to do."""
        self._problem.text = f"{error.message}; {error.hint}" if error.hint else error.message

    def _fail(self, error: RedoxError, turn: int | None = None) -> None:
        """Say what is wrong in place of numbers that would no longer hold, unless they are of another turn."""
        if turn not in (None, self._turn):
            return
        self._turn += 1
        self._failed = True
        self._say(error)
        self._parts.clear()

    def go(self, state: ExploreState, move: str = "") -> None:
        """Go to a new state."""
        if self._showing or (state == self.state and not self._failed):
            return
        if state != self.state:
            self._history.add(state, move)
        self._follow()

    @ui.refreshable_method
    def _controls(self) -> None:
        cell = self._cell
        with ui.element("div").classes("line"):
            self._undo = ui.button("Undo", on_click=lambda: self._step(-1)).classes("undo")
            self._redo = ui.button("Redo", on_click=lambda: self._step(1))
            ui.button("All bounds as they were", on_click=lambda: self.go(self.state.changed(bounds={})))
        self._model = ModelChoice(self._desk, self.go, self._say)
        lines = {line: line or "none: the cell on its medium" for line in self._desk.lines}
        self._line = ui.select(lines, label="Cell line", on_change=self._choose_line).classes("w-full")
        known = {name: f"{name}: {found.description}" for name, found in cell.conditions.items()}
        self._condition = ui.select(known, label="Condition", on_change=self._choose_condition).classes("w-full")
        self._enzymes()
        self._offers()
        usual = cell.values(ExploreState(cell=self.state.cell))
        self._bounds = {}
        for heading, belongs in GROUPS.items():
            chosen = [q for q in cell.quantities.values() if belongs(q, usual[q.key])]
            if chosen:
                with ui.expansion(heading, value=heading in list(GROUPS)[:2]).classes("w-full"):
                    for quantity in chosen:
                        self._bounds[quantity.key] = Bound(quantity, partial(self._move, quantity))

    def _move(self, quantity: Quantity, value: float | None) -> None:
        if value is None or 0 <= value <= quantity.most:
            self.go(self.state.with_bound(quantity.key, value), quantity.key)
        else:
            hint = f"choose a value from 0 to {quantity.most:g} mmol/gDW/h"
            self._fail(RedoxError(f"{quantity.key} = {value:g} is out of range", hint=hint))

    @ui.refreshable_method
    def _enzymes(self) -> None:
        placements = {each.id: f"{each.id}: {each.enzyme.name}" for each in self._cell.space.placements}
        levels = {level: f"{100 * level:g} %" for level in self._cell.space.levels}
        ui.html("<h2>Enzymes put in, share of the proteome</h2>", sanitize=False)
        for name, fraction in self.state.enzymes.items():
            with ui.element("div").classes("line").props(f'data-enzyme="{name}"'):
                ui.select(
                    levels,
                    value=fraction,
                    label=placements[name],
                    on_change=lambda event, name=name: self.go(self.state.with_enzyme(name, event.value)),
                ).style("min-width: 12rem; flex: 1")
                remove = ui.button(
                    "Take out", on_click=lambda _, name=name: self.go(self.state.with_enzyme(name, None))
                )
                remove.props(f'aria-label="Take out {name}" flat')
        with ui.element("div").classes("line"):
            absent = {name: text for name, text in placements.items() if name not in self.state.enzymes}
            enzyme = ui.select(absent, label="Enzyme", value=next(iter(absent), None)).style(
                "flex: 2; min-width: 10rem"
            )
            level = ui.select(levels, label="Level", value=self._cell.space.levels[-2]).style("flex: 1")

            def put_in() -> None:
                if enzyme.value is not None:
                    self.go(self.state.with_enzyme(enzyme.value, level.value))

            ui.button("Put in", on_click=put_in).classes("put-in")

    def _offers(self) -> None:
        """The search, and what can be taken away from the page."""
        ui.html("<h2>Design it for me</h2>", sanitize=False)
        with ui.element("div").classes("line"):
            seconds = ui.number("Seconds it may take", value=1.0, min=0.1, max=3600, step=0.1).style("flex: 1")
            ui.button("Design", on_click=lambda: self._design(seconds.value)).classes("design")
        ui.html("<h2>Keep and share</h2>", sanitize=False)
        with ui.element("div").classes("line"):
            ui.button("Copy link", on_click=self._copy_link)
            ui.button("Download model", on_click=self._export)
            ui.button("Download conditions", on_click=self._download_conditions)
        ui.label("The same by a command:")
        self._command = ui.html("", sanitize=False, tag="pre").props("id=command tabindex=0")

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something in a process of its own for the state at hand; None where it failed or was cancelled."""
        state = self.state
        try:
            order = await self._desk.ask(state, lambda cell: cell.order(state))
            return await self._work.run(work, order, *arguments)
        except RedoxError as error:
            return self._say(error)

    async def _design(self, seconds: float | None) -> None:
        if not seconds or not 0 < seconds <= LONGEST_S:
            self._say(RedoxError("no time to search", hint=f"give more than 0 and at most {LONGEST_S:g} seconds"))
            return
        asked = self.state
        if found := await self._run(searched, seconds):
            enzymes, value, proof = found
            if self.state == asked:
                self.go(asked.changed(enzymes=enzymes))
                self._live.text = f"found a construct of value {value:.4f}, {proof}"
            else:
                self._say(RedoxError("the cell was changed while a construct was searched for", hint="search again"))

    async def _export(self) -> None:
        if (packed := await self._run(exported)) is not None:
            ui.download.content(packed, "explored.zip")

    async def _download_conditions(self) -> None:
        state = self.state
        condition = await self._desk.ask(state, lambda cell: cell.condition(state))
        ui.download.content(conditions_file(condition), CONDITIONS_FILE)

    def _copy_link(self) -> None:
        ui.run_javascript("navigator.clipboard.writeText(location.href)")
        self._live.text = "the link is copied"

    def _choose_condition(self, event: Any) -> None:
        self.go(self.state.changed(condition=event.value))

    def _choose_line(self, event: Any) -> None:
        self.go(self.state.changed(cell=event.value, model=""))

    def _step(self, by: int) -> None:
        self._history.step(by)
        self._follow()

    def _key(self, event: Any) -> None:
        if event.action.keydown and event.modifiers.ctrl and event.key in ("z", "y", "Z"):
            self._step(1 if event.key == "y" or event.modifiers.shift else -1)

    def _follow(self) -> None:
        """Let controls and answers follow the state."""
        self._failed = False
        self._turn += 1
        self._parts.wait()
        if not self._answering:
            self._answering = True
            background_tasks.create(self._answer(), name="answers of the page", context=self._client)

    async def _answer(self) -> None:
        try:
            answered = 0
            while answered != self._turn and not self._client.is_deleted:
                answered = self._turn
                await self._answer_turn(answered, self.state)
        finally:
            self._answering = False

    async def _answer_turn(self, turn: int, state: ExploreState) -> None:
        try:
            cell = await self._desk.ask(state, lambda cell: cell)
            if cell is not self._cell:
                self._cell = cell
                self._controls.refresh()
            self._show(state, await self._desk.ask(state, lambda cell: cell.checked_values(state)))
            self._problem.text = ""
            answer = await self._desk.ask(state, lambda cell: (numbers(cell, state), spoken(cell, state)))
            if self._failed:
                return
            text, self._live.text = answer
            self._parts.show(NUMBERS, text)  # also while a slider moves on
            if turn == self._turn:
                work = self._analyse(turn, self._parts.analysis(state))
                background_tasks.create(work, name="analyses of the page", context=self._client)
        except RedoxError as error:
            self._fail(error, turn)

    async def _analyse(self, turn: int, work: Awaitable[None]) -> None:
        """Wait for the other parts; the numbers of the next state do not."""
        try:
            await work
        except RedoxError as error:
            self._fail(error, turn)

    def _show(self, state: ExploreState, values: Mapping[str, float]) -> None:
        """Set all controls to a state, and the address of the page."""
        if state != self.state:
            return
        self._showing = True
        try:
            self._model.show(state.model_name)
            self._line.value, self._condition.value = state.cell, state.condition
            for key, control in self._bounds.items():
                control.show(values[key])
            if self._shown != state.enzymes:
                self._shown = state.enzymes
                self._enzymes.refresh()
            self._undo.set_enabled(self._history.can_undo)
            self._redo.set_enabled(self._history.can_redo)
        finally:
            self._showing = False
        self._heading.content = _plain(f"Explore {self._cell.space.network.id}")
        self._command.content = _plain(self._desk.command(state))
        link = state.changed(model=self._cell.checksum).query()
        self._client.run_javascript(f"history.replaceState(null, '', {json.dumps(f'?{link}')})")


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
