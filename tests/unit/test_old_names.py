"""Every command, option, make target and make variable of version 0.1 is still accepted."""

import json
import re
from pathlib import Path

import pytest

from commands import commands_of, redox_json
from ops.__main__ import build
from redox_balancer.cli import app

ROOT = Path(__file__).parents[2]
OLD = json.loads((ROOT / "tests" / "data" / "version_0_1" / "interface.json").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
COMMANDS = commands_of(app, "redox") | commands_of(build(), "python -m ops")


@pytest.mark.parametrize("name", [*OLD["redox"], *OLD["ops"]])
def test_every_option_is_accepted(name: str) -> None:
    options = {option for each in COMMANDS[name].params for option in (*each.opts, *each.secondary_opts)}
    assert set((OLD["redox"] | OLD["ops"])[name]) <= options


def test_every_target_exists() -> None:
    assert set(OLD["targets"]) <= set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, flags=re.MULTILINE))


def test_every_variable_is_read() -> None:
    read = set(re.findall(r"\$\(?(?:if |call given,)?\(?\$?\(?([A-Z_]+)", MAKEFILE))
    assert set(OLD["variables"]) <= read


def test_excluded_entries_have_their_old_key_and_reasons() -> None:
    answer = redox_json("enzymes")
    new = {entry["placement"]: entry["reason"] for entry in answer["excluded"]}
    old = {entry["placement"]: entry["reason"] for entry in answer["left_out"]}
    assert new.keys() == old.keys()
    assert (new["EFNOX_c"], old["EFNOX_c"]) == ("dominated", "outdone")
    assert (new["ADH1_c"], old["ADH1_c"]) == ("missing", "missing")
