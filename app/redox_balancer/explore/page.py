"""The page: controls on one side, numbers and map on the other; nothing is computed here."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nicegui import background_tasks, ui

from redox_balancer.cell.conditions import Side
from redox_balancer.errors import RedoxError
from redox_balancer.explore.desk import Desk
from redox_balancer.explore.numbers import ExploredCell
from redox_balancer.explore.quantities import Quantity
from redox_balancer.explore.state import ExploreState, History
from redox_balancer.explore.views import PARTS, View

GROUPS: dict[str, Callable[[Quantity, float], bool]] = {
    "Uptake, mmol/gDW/h": lambda q, usual: q.side is Side.UPTAKE and usual > 0,
    "Release, mmol/gDW/h": lambda q, _: q.side is Side.EXPORT,
    "Enzymes of the cell: largest flux, mmol/gDW/h": lambda q, _: q.side is Side.FLUX,
    "Uptakes that the medium closes": lambda q, usual: q.side is Side.UPTAKE and not usual,
}
STYLE = """
body {font-family: Helvetica, Arial, 'DejaVu Sans', sans-serif; color: #1d2429}
.nicegui-content {padding: .75rem; max-width: 1700px; margin: auto}
.desk {display: grid; grid-template-columns: minmax(18rem, 26rem) minmax(0, 1fr); gap: 1.5rem; width: 100%}
.answers {display: grid; gap: .5rem; align-content: start; min-width: 0}
h1 {font-size: 1.4rem; margin: 0} h2 {font-size: 1.05rem; margin: .6rem 0 .2rem; line-height: 1.4}
table {border-collapse: collapse; font-variant-numeric: tabular-nums}
th {text-align: left; font-weight: normal; padding: .1rem 1rem .1rem 0} td {padding: .1rem 1rem .1rem 0}
#numbers td {font-weight: bold} .part {overflow-x: auto}
.part svg {width: 100%; height: auto; min-width: 46rem}
.part[aria-busy=true] {opacity: .35}
.problem, .warning {border-left: .4rem solid #d55e00; background: #fdf1ea; padding: .4rem .7rem; margin: .2rem 0}
.problem {font-weight: bold; width: 100%} .problem:empty {display: none}
.bound {display: grid; grid-template-columns: 1fr 6.5rem; gap: 0 .8rem; align-items: center; margin: .2rem 0;
  width: 100%}
.bound label {grid-column: 1 / 3; font-size: .9rem} .bound input {width: 100%; accent-color: #005a8c}
.bound input[type=number] {border: 1px solid #6b6b6b; border-radius: .2rem; padding: .15rem .3rem}
.line {display: flex; flex-wrap: wrap; gap: .5rem; align-items: center}
:focus-visible, .q-field--focused {outline: 3px solid #0072b2; outline-offset: 2px}
.silent {position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)}
@media (max-width: 60rem) {.desk {grid-template-columns: minmax(0, 1fr)} .answers {order: -1}}
"""


class Bound(ui.element, component="bound.js"):
    """A slider with a number beside it; `on_move` receives the value, None where the number is deleted."""

    def __init__(self, quantity: Quantity, on_move: Callable[[float | None], None]) -> None:
        super().__init__()
        label = f"{quantity.label} {quantity.side}"
        self._props |= {"name": quantity.key, "label": label, "most": quantity.most, "value": 0.0}
        self.on("move", lambda event: self._moved(event.args, on_move))

    def show(self, value: float) -> None:
        """Go to a value, unless the browser has put it there."""
        if self._props["value"] != value:
            self._props["value"] = value
            self.update()

    def _moved(self, value: Any, on_move: Callable[[float | None], None]) -> None:
        self._props["value"] = value
        on_move(value)


class AnswerPart(ui.element):
    """A part of the answers; the frame alone is sent while it waits, for the map is large."""

    def __init__(self, key: str) -> None:
        super().__init__("div")
        self.classes("part").props(f"id=part-{key}")
        with self:
            self._content = ui.html("", sanitize=False)

    def wait(self) -> None:
        """Mark what is shown as outdated."""
        if self._props.get("aria-busy") != "true":
            self.props("aria-busy=true")

    def show(self, content: str) -> None:
        """Show an answer."""
        self._content.content = content
        self.props("aria-busy=false")


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
        self._parts: dict[str, AnswerPart] = {}

    @property
    def state(self) -> ExploreState:
        """What is shown."""
        return self._history.state

    def build(self, values: Mapping[str, float], wrong: RedoxError | None = None) -> None:
        """Make the page, with sliders at these values; `wrong` is said in place of answers."""
        ui.add_css(STYLE)
        ui.colors(primary="#005a8c", negative="#a03b00")
        ui.html(f"<h1>Explore {_plain(self._cell.space.network.id)}</h1>", sanitize=False)
        self._problem = ui.label("").classes("problem").props("role=alert")
        with ui.element("div").classes("desk"):
            with ui.element("section").props('aria-label="Cell and enzymes"'):
                self._controls()
            with ui.element("section").classes("answers").props('aria-label="Answers"'):
                self._live = ui.label("").classes("silent").props("role=status aria-live=polite")
                for key, (heading, _) in PARTS.items():
                    ui.html(f"<h2>{heading}</h2>", sanitize=False)
                    self._parts[key] = AnswerPart(key)
        ui.keyboard(self._key)
        self._show(self.state, values)
        if wrong is None:
            self._follow()
        else:
            self._fail(wrong)

    def _fail(self, error: RedoxError) -> None:
        """Say what is wrong in place of numbers that would no longer hold."""
        self._turn += 1
        self._failed = True
        self._problem.text = f"{error.message}; {error.hint}" if error.hint else error.message
        for part in self._parts.values():
            part.show("")

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
            self._undo = ui.button("Undo", on_click=lambda: self._step(-1))
            self._redo = ui.button("Redo", on_click=lambda: self._step(1))
            ui.button("All bounds as they were", on_click=lambda: self.go(self.state.changed(bounds={})))
        lines = {line: line or "none: the cell on its medium" for line in self._desk.lines}
        self._line = ui.select(lines, label="Cell line", on_change=self._choose_line).classes("w-full")
        known = {name: f"{name}: {found.description}" for name, found in cell.conditions.items()}
        self._condition = ui.select(known, label="Condition", on_change=self._choose_condition).classes("w-full")
        self._enzymes()
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

            ui.button("Put in", on_click=put_in)

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
        for part in self._parts.values():
            part.wait()
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
            cell = await self._desk.ask(state.cell, lambda cell: cell)
            if cell is not self._cell:
                self._cell = cell
                self._controls.refresh()
            self._show(state, await self._desk.ask(state.cell, lambda cell: cell.checked_values(state)))
            self._problem.text = ""
            for key, (_, view) in PARTS.items():
                text = await self._desk.ask(state.cell, partial(_viewed, view, state))
                if turn != self._turn:
                    return
                self._parts[key].show(text)
        except RedoxError as error:
            if turn == self._turn:
                self._fail(error)

    def _show(self, state: ExploreState, values: Mapping[str, float]) -> None:
        """Set all controls to a state, and the address of the page."""
        if state != self.state:
            return
        self._showing = True
        try:
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
        link = state.changed(model=self._cell.checksum).query()
        self._client.run_javascript(f"history.replaceState(null, '', {json.dumps(f'?{link}')})")


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _viewed(view: View, state: ExploreState, cell: ExploredCell) -> str:
    return view(cell, state)
