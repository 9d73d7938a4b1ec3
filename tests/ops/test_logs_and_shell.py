"""`logs` and `shell` on a host behind a real sshd."""

import pytest

from fake_host import INSTANCE, OpenSession
from ops.commands.logs import logs
from ops.commands.shell import shell
from training_host import Train, TrainingHost

NASTY = ["printf", "%s|", "it's", '"quoted"', "$(hostname)", "`id`", "$HOME", "a\\b", "-x", "; exit 9"]


def test_the_log_of_the_training_is_shown(
    training_host: TrainingHost, open_session: OpenSession, train: Train
) -> None:
    train(detach=True)
    assert training_host.arguments()
    result = logs(open_session(), lines=5)
    assert result is not None
    assert result.data["lines"][-1] == "training mine"


def test_new_lines_are_shown_until_ctrl_c(
    training_host: TrainingHost, open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def echo(line: str) -> None:
        lines.append(line)
        if line == "new":
            raise KeyboardInterrupt
        if len(lines) == 1:
            training_host.run("echo new >>/var/log/redox.log")

    training_host.run("echo before >/var/log/redox.log")
    monkeypatch.setattr("typer.echo", echo)
    assert logs(open_session(), follow=True, of="host") is None
    assert lines == ["before", "new"]


@pytest.mark.usefixtures("training_host")
def test_the_exit_code_of_a_command_is_returned(open_session: OpenSession, capfd: pytest.CaptureFixture[str]) -> None:
    result = shell(open_session(), command=["sh", "-c", "hostname; exit 3"])
    assert result is not None
    assert (result.exit_code, capfd.readouterr().out) == (3, f"{INSTANCE}\n")


@pytest.mark.usefixtures("training_host")
def test_words_of_a_command_reach_the_host_literally(
    open_session: OpenSession, capfd: pytest.CaptureFixture[str]
) -> None:
    shell(open_session(), command=NASTY)
    assert capfd.readouterr().out == "|".join([*NASTY[2:], ""])


@pytest.mark.usefixtures("training_host")
def test_a_command_is_never_an_option_of_ssh(open_session: OpenSession, capfd: pytest.CaptureFixture[str]) -> None:
    shell(open_session(), command=["-V"])
    assert "OpenSSH" not in capfd.readouterr().err
