"""How an error ends a command line."""

import sys
from typing import Annotated

import pytest
import typer

from redox_balancer.errors import RedoxError
from redox_balancer.terminal.outcome import end


def app(error: Exception) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def fetch(*, file: Annotated[str, typer.Option("--from")] = "", num_actors: int = 0) -> None:
        del file, num_actors
        raise error

    @app.callback()
    def root() -> None:
        """More than one command."""

    return app


def ended(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    monkeypatch.setattr(sys, "argv", ["redox", "fetch"])
    with pytest.raises(SystemExit) as exit_:
        end(app(error), "redox")
    return exit_.value.code, capsys.readouterr().err


def test_a_hint_names_the_options_of_its_settings_that_the_command_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RedoxError("no network", hint="take a file, with [less]", settings=("file", "num_actors", "budget"))
    code, said = ended(error, monkeypatch, capsys)
    assert code == 2
    assert said.splitlines() == ["error: no network", "hint:  take a file, with [less] (--from, --num-actors)"]


def test_an_exit_code_of_its_own_is_kept_and_no_hint_is_no_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(RedoxError("no answer", exit_code=75), monkeypatch, capsys) == (75, "error: no answer\n")


def test_a_missing_optional_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(ModuleNotFoundError("gone", name="torch.nn"), monkeypatch, capsys)
    assert code == 2
    assert "this needs torch" in said
    assert "pip install 'redox_balancer[train]'" in said
    monkeypatch.setattr(sys, "argv", ["redox", "fetch"])
    with pytest.raises(ModuleNotFoundError):
        end(app(ModuleNotFoundError("gone", name="rediscover")), "redox")
