"""infra and ops work without the packages of the other, and help works without either."""

import subprocess
from pathlib import Path

import pytest

from commands import python
from ops.__main__ import command_names

ROOT = Path(__file__).parents[2]
OF_INFRA = ("aws_cdk", "constructs", "cdk_nag")
OF_OPS = ("docker",)
HEAVY = ("boto3", "botocore", "docker", "torch", "ray", "aws_cdk", "numpy", "moto")


def without(blocked: tuple[str, ...], *lines: str) -> subprocess.CompletedProcess[str]:
    """Run a program in which these packages cannot be imported, as if they were not installed."""
    return python("\n".join(["import sys", f"sys.modules.update(dict.fromkeys({blocked!r}))", *lines]), cwd=ROOT)


def test_help_loads_nothing_heavy() -> None:
    answer = python(
        "import sys, ops.__main__ as o; sys.argv = ['ops', '--help']\n"
        "try: o.main()\n"
        f"except SystemExit: print('loaded', [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)",
        cwd=ROOT,
    )
    assert answer.stderr == "loaded []\n"
    for name in command_names():
        assert name in answer.stdout


def test_ops_works_without_the_dependencies_of_infra() -> None:
    """A command that only queries gets as far as AWS; a restore reports what is missing before any query."""
    away = "import os; os.environ.update(AWS_ENDPOINT_URL='http://127.0.0.1:9', AWS_ACCESS_KEY_ID='x', "
    away += "AWS_SECRET_ACCESS_KEY='x', AWS_MAX_ATTEMPTS='1')"
    for name, message in (("checkpoints", "AWS does not answer"), ("restore", "the CDK is not installed")):
        answer = without(
            OF_INFRA,
            away,
            "import infra.settings as s; s.RESERVED_DOMAINS = ()",  # or the sample address would be refused first
            f"import ops.__main__ as o; sys.argv = ['ops', '{name}']; o.main()",
        )
        assert answer.returncode == 2, answer.stderr
        assert message in answer.stderr


@pytest.mark.parametrize("module", ["infra.deploy", "infra.destroy", "infra.apply"])
def test_the_commands_of_infra_work_without_the_dependencies_of_ops(module: str) -> None:
    answer = without(
        OF_OPS, f"import runpy; sys.argv = ['x', '--help']; runpy.run_module('{module}', run_name='__main__')"
    )
    assert answer.returncode == 0, answer.stderr
    assert "Example: python -m infra." in answer.stdout


@pytest.mark.usefixtures("cdk")  # it needs node
def test_the_app_is_synthesised_without_the_dependencies_of_ops() -> None:
    code = "from aws_cdk import App; from infra.settings import load; from infra.stacks import build"
    answer = without(OF_OPS, code, "print([stack.stack_name for stack in build(App(), load())])")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "['RedoxStorage', 'RedoxTraining']\n"
    code = f"import sys, infra.__main__; print([name for name in {OF_OPS!r} if name in sys.modules])"
    loaded = python(code, cwd=ROOT)
    assert loaded.stdout == "[]\n"
