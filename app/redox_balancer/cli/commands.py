"""The commands of `redox`: where each is defined, and its summary.

A command is imported when it is used. `redox --help` and the completion of names list all by their summaries.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

MARKUP: Literal["rich"] = "rich"

COMMANDS = {
    "design": ("design:design", "Design a construct for a condition and analyse it in the cell."),
    "diagnose": (
        "diagnose:diagnose",
        "Say for each condition whether its trouble is redox, and where, from what outside reactions do to growth.",
    ),
    "map": (
        "redox_map:redox_map",
        "Draw a cell with a construct: fluxes as widths and arrows, the enzymes put in and how much of them is used.",
    ),
    "explore": (
        "explore:explore",
        "Explore a cell on a page of your browser: move its bounds, put enzymes in, see what they do.",
    ),
    "enzymes": ("enzymes:enzymes", "Show the enzyme library and how it fits a model."),
    "search": ("search:app", "Search for constructs without learning."),
    "model": ("model:app", "Download, describe, test and curate metabolic models."),
    "build-core": (
        "core:build_core",
        "Extract the consistent core of a model: every reaction that can carry flux on a medium.",
    ),
    "validate": ("validate:validate", "Run the experiments that a human network should reproduce, and compare."),
    "train": (
        "train:train",
        "Train a policy that places enzymes (IMPALA: actors collect rollouts, a learner updates the policy).",
    ),
    "report": (
        "report:report",
        "Write the report of a run: designs, Pareto fronts, policy, random and best constructs, learning curve.",
    ),
    "evaluate": (
        "evaluate:evaluate",
        (
            "Compare the engine with and without policies, the policies alone, other searches, one construct and the "
            "oracle."
        ),
    ),
    "checkpoints": ("checkpoints:app", "List, pull and push the checkpoints of a run in an S3 bucket."),
    "doctor": (
        "doctor:doctor",
        "Check limits, threads, memory, disk, solver and reward signal for a training with these options.",
    ),
    "advise": (
        "advise:advise",
        "Advise on the size of a training: steps/s, time and cost for hosts and actors, and the cheapest in time.",
    ),
    "bench": (
        "bench:bench",
        (
            "Measure speed and memory: steps, an actor's memory, the learner, a whole training, the extraction of a "
            "core."
        ),
    ),
    "profile": (
        "profile:profile",
        "Draw a flame graph of a live actor with the environments and settings of a training.",
    ),
}
"""Module and attribute of each command or group of commands, and the first paragraph of its help."""


class LazyGroup(TyperGroup):
    """The group of these commands; `commands` imports one when it is asked for, the lists ask for none."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        summaries = {name: TyperCommand(name, help=summary) for name, (_, summary) in COMMANDS.items()}
        self._listed = TyperGroup(**settings | {"commands": summaries})
        self.commands: Any = _Loaded()

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands."""
        del ctx
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        self._listed.params = self.params
        self._listed.format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete the name of a command or an option."""
        self._listed.params, ctx.command = self.params, self._listed
        return self._listed.shell_complete(ctx, incomplete)


class _Loaded(Mapping[str, Any]):
    """The commands by name."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = COMMANDS[name][0].partition(":")
        loaded = import_module(f"redox_balancer.cli.{module}")
        command, app = getattr(loaded, attribute), typer.Typer(rich_markup_mode=MARKUP)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, epilog=loaded.EXAMPLE)(command)
        return typer.main.get_group(app).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)
