"""Elements of the page that NiceGUI lacks, and the style of the page."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from nicegui import ui

from redox_balancer.errors import RedoxError
from redox_balancer.explore.answers import Answers
from redox_balancer.explore.desk import Desk
from redox_balancer.explore.jobs import PageJob
from redox_balancer.explore.quantities import Quantity
from redox_balancer.explore.run_view import RunView
from redox_balancer.explore.state import ExploreState
from redox_balancer.explore.views import HEADINGS, RATIOS

REFRESH_S = 2.0
"""Time between two looks at a run, s."""
LONG_S = 1.5
"""Seconds of waiting that are worth a line."""
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
.part[aria-busy=true] > :not(.left) {opacity: .35}
.problem, .warning {border-left: .4rem solid #d55e00; background: #fdf1ea; padding: .4rem .7rem; margin: .2rem 0}
.problem {font-weight: bold; width: 100%} .problem:empty {display: none}
.bound {display: grid; grid-template-columns: 1fr 6.5rem; gap: 0 .8rem; align-items: center; margin: .2rem 0;
  width: 100%}
.bound label {grid-column: 1 / 3; font-size: .9rem} .bound input {width: 100%; accent-color: #005a8c}
.bound input[type=number] {border: 1px solid #6b6b6b; border-radius: .2rem; padding: .15rem .3rem}
pre {white-space: pre-wrap; overflow-wrap: anywhere; background: #f1f4f6; padding: .4rem; margin: .2rem 0}
.line {display: flex; flex-wrap: wrap; gap: .5rem; align-items: center}
:focus-visible, .q-field--focused {outline: 3px solid #0072b2; outline-offset: 2px}
.q-btn:focus-visible, .q-item:focus-visible {box-shadow: 0 0 0 3px #fff, 0 0 0 6px #0072b2}
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
            self._left = ui.label("").classes("left").props("role=status")
            self._done = ui.linear_progress(0.0, show_value=False).classes("left").props('aria-label="progress"')
            self._content = ui.html("", sanitize=False)
        self._waits_long(seen=False)

    def wait(self) -> None:
        """Mark what is shown as outdated."""
        if self._props.get("aria-busy") != "true":
            self.props("aria-busy=true")

    def show(self, content: str) -> None:
        """Show an answer."""
        self._waits_long(seen=False)
        self._content.content = content
        self.props("aria-busy=false")

    def tell(self, share: float, seconds: float) -> None:
        """Say how much of the answer is there, and how many seconds the rest takes, where they are worth a line."""
        if seconds >= LONG_S or self._left.visible:
            self._left.text, self._done.value = f"about {seconds:,.0f} s more", share
            self._waits_long(seen=True)

    def _waits_long(self, *, seen: bool) -> None:
        for element in (self._left, self._done):
            element.set_visibility(seen)


class AnswerParts:
    """All parts of the answers, each with its heading; those of one state at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._parts = desk, dict[str, AnswerPart]()
        self._answers: Answers | None = None
        for key, heading in HEADINGS.items():
            ui.html(f"<h2>{heading}</h2>", sanitize=False)
            self._parts[key] = AnswerPart(key)
        ui.context.client.on_delete(self._cancel)

    def wait(self) -> None:
        """Mark everything as outdated, and end what is being computed."""
        self._cancel()
        for part in self._parts.values():
            part.wait()

    def clear(self) -> None:
        """Show nothing."""
        self._cancel()
        for part in self._parts.values():
            part.show("")

    def show(self, key: str, content: str) -> None:
        """Show an answer."""
        self._parts[key].show(content)

    def analysis(self, state: ExploreState) -> Awaitable[None]:
        """What shows all parts but the numbers as they come, until another state is waited for."""
        self._cancel()
        self._answers = Answers(self._desk, state, self._parts[RATIOS].tell)
        return self._analyse(self._answers)

    async def _analyse(self, answers: Answers) -> None:
        async with aclosing(answers.parts()) as parts:
            async for key, text in parts:
                if answers.cancelled:
                    return
                self._parts[key].show(text)

    def _cancel(self) -> None:
        if self._answers is not None:
            self._answers.cancel()


class ModelChoice:
    """The choice of a model: it is read before the page goes to it, and where it cannot be, the former one stays."""

    def __init__(
        self, desk: Desk, on_chosen: Callable[[ExploreState], None], on_refused: Callable[[RedoxError], None]
    ) -> None:
        self._desk, self._on_chosen, self._on_refused = desk, on_chosen, on_refused
        self._shown = ""
        names = {name: name or desk.own_model for name in desk.models}
        self._select = ui.select(names, label="Model", value="", on_change=self._choose).classes("w-full model")

    def show(self, name: str) -> None:
        """Show the name of a model."""
        self._shown = self._select.value = name

    async def _choose(self, event: Any) -> None:
        if event.value == self._shown:
            return
        state, select = ExploreState(model_name=event.value, cell=self._desk.lines[0]), self._select
        select.props("loading").disable()
        try:
            await self._desk.ask(state, lambda cell: cell.require_fit(state))
            self._on_chosen(state)
        except RedoxError as error:
            select.value = self._shown
            self._on_refused(error)
        finally:
            select.props(remove="loading").enable()


class WorkLine(ui.element):
    """A line with the progress of a job and a button that cancels it; it is seen while a job runs."""

    def __init__(self) -> None:
        super().__init__("div")
        self._job: PageJob | None = None
        self.classes("line").props("id=work").set_visibility(False)
        with self:
            self._phase = ui.label("").props("role=status")
            self._done = ui.linear_progress(0.0, show_value=False).style("flex: 1; min-width: 8rem")
            self._done.props('aria-label="progress"')
            ui.button("Cancel", on_click=self.cancel)
        ui.context.client.on_delete(self.cancel)

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The answer of a job; None where it was cancelled, a RedoxError where it failed or another one runs."""
        if self._job is not None:
            raise RedoxError("one thing at a time", hint="wait for it, or cancel it")
        self._job = PageJob(work, *arguments)
        self._phase.text, self._done.value = "starting", 0.0
        self.set_visibility(True)
        try:
            return await self._job.result(self._progress)
        finally:
            self._job = None
            self.set_visibility(False)

    def cancel(self) -> None:
        """End the job, if there is one."""
        if self._job is not None:
            self._job.cancel()

    def _progress(self, phase: str, done: int = 0, total: int | None = None, /) -> None:
        self._phase.text = f"{phase}: {done:,} of {total:,}" if total else phase
        self._done.value = done / total if total else 0.0


def run_box(run: RunView) -> None:
    """Show a run, which is read again every `REFRESH_S`."""
    with ui.expansion("The run", value=True).classes("w-full part"):
        seen = ui.html("", sanitize=False)

    async def read() -> None:
        seen.content = await run.html()

    ui.timer(REFRESH_S, read)
