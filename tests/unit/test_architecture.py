"""The architecture of docs/architecture.md: who imports whom, how large modules may be, one meaning for each name.

The diagrams of that page are read here, so the page and the code cannot disagree.
"""

import ast
import re
import sys
from collections import defaultdict
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

from commands import commands_of, python
from redox_balancer.cli import app

ROOT = Path(__file__).parents[2]
SOURCES = {"redox_balancer": ROOT / "app" / "redox_balancer", "infra": ROOT / "infra", "ops": ROOT / "ops"}
PAGE = (ROOT / "docs" / "architecture.md").read_text()
MODULE_LINES, CLASS_LINES = 350, 250
HEAVY = ["torch", "ray", "cobra", "numpy", "scipy", "gymnasium", "swiglpk"]
LIBRARIES = ["torch", "ray", "boto3", "cobra", "matplotlib", "pandas", "scipy.stats", "tensorboard", "IPython"]
"""What an answer on the embedded core does without."""


@cache
def modules() -> dict[str, Path]:
    """Every module of app, infra and ops by its dotted name."""
    found = {}
    for base, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = (base, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported_names(path: Path) -> set[str]:
    """Every name that a file imports, wherever the import stands: `import a.b` and `from a import b` give `a.b`."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@cache
def imports() -> dict[str, set[str]]:
    """Which of our modules each of our modules imports."""
    graph = {}
    for name, path in modules().items():
        names = {each if each in modules() else each.rpartition(".")[0] for each in imported_names(path)}
        graph[name] = (names & set(modules())) - {name}
    return graph


@cache
def diagram() -> tuple[dict[str, tuple[str, ...]], set[tuple[str, str]]]:
    """The nodes of all diagrams with the packages that each stands for, and the arrows between nodes."""
    nodes: dict[str, tuple[str, ...]] = {}
    arrows: set[tuple[str, str]] = set()
    for block in re.findall(r"```mermaid\n(.*?)```", PAGE, flags=re.DOTALL):
        names = {}
        for name, label in re.findall(r'^ *(\w+)\["([^"]*)"\]', block, flags=re.MULTILINE):
            names[name] = label
            nodes[label] = tuple(
                each if each.split(".")[0] in SOURCES else f"redox_balancer.{each}" for each in label.split(", ")
            )
        lines = re.findall(r'^ *(\w+)(?:\["[^"]*"\])? --> ([\w& ]+)$', block, flags=re.MULTILINE)
        assert len(lines) == block.count("-->"), "an arrow that is not understood"
        for start, ends in lines:
            arrows |= {(names[start], names[end]) for end in ends.split(" & ")}
    return nodes, arrows


def node_of(module: str) -> str | None:
    """The node of the diagram that a module belongs to; one that stands for a whole tree needs its own name there."""
    packages = {package: label for label, packages in diagram()[0].items() for package in packages}
    while module not in packages:
        module = module.rpartition(".")[0]
        if not module or module in ("redox_balancer", "ops"):
            return None
    return packages[module]


@cache
def reachable(node: str) -> frozenset[str]:
    """The nodes that the arrows lead to from a node."""
    direct = {end for start, end in diagram()[1] if start == node}
    return frozenset(direct.union(*map(reachable, direct)))


def test_every_package_is_in_the_diagram_and_no_other() -> None:
    used = {name for name in modules() if imports()[name]} | set().union(*imports().values())
    assert sorted(name for name in used if node_of(name) is None) == []
    packages = {package for packages in diagram()[0].values() for package in packages}
    assert packages <= set(modules())


def test_the_tables_describe_every_package_of_the_diagram() -> None:
    described = {
        name for row in re.findall(r"^\| (`.*?) \|", PAGE, flags=re.MULTILINE) for name in re.findall(r"`(.+?)`", row)
    }
    drawn = {name for label in diagram()[0] for name in label.split(", ")}
    assert described == drawn - {"__main__", "ops.__main__"}


def test_the_diagram_has_no_circle_and_no_arrow_that_others_imply() -> None:
    nodes, arrows = diagram()
    assert len(arrows) > 15
    order = TopologicalSorter({node: {end for start, end in arrows if start == node} for node in nodes})
    order.prepare()
    for start, end in arrows:
        others = {other for first, other in arrows if first == start and other != end}
        assert not any(end in reachable(other) for other in others), f"{start} --> {end} follows from other arrows"


def test_imports_follow_the_arrows() -> None:
    found = set()
    for name, imported in imports().items():
        for other in imported:
            start, end = node_of(name), node_of(other)
            if start != end and (start is None or end not in reachable(start)):
                found.add(f"{name} -> {other}")
    assert found == set()


def test_every_arrow_stands_for_an_import() -> None:
    used = {(node_of(name), node_of(other)) for name, imported in imports().items() for other in imported}
    assert diagram()[1] <= used


def test_modules_import_in_no_circle() -> None:
    TopologicalSorter(imports()).prepare()  # a CycleError names one


def test_infra_uses_nothing_of_the_app_but_errors_and_files() -> None:
    used = {other for name, found in imports().items() if name.split(".")[0] == "infra" for other in found}
    assert {name for name in used if name.startswith("redox_balancer")} <= {
        "redox_balancer.errors",
        "redox_balancer.files",
    }
    assert not {name for name in used if name.split(".")[0] == "ops"}


@pytest.mark.parametrize(
    ("package", "beyond"),
    [("infra.machine", set()), ("ops.remote_scripts", set())],
)
def test_code_that_runs_on_the_host_needs_only_the_standard_library(package: str, beyond: set[str]) -> None:
    own = [path for name, path in modules().items() if name == package or name.startswith(f"{package}.")]
    assert len(own) > 2
    others = {name for path in own for name in imported_names(path) if not f"{name}.".startswith(f"{package}.")}
    assert {name.split(".")[0] for name in others} - sys.stdlib_module_names == beyond


def test_the_simulator_is_imported_by_the_demo_and_tests_alone() -> None:
    users = {name for name, found in imports().items() if any(each.startswith("ops.simulator") for each in found)}
    assert {name for name in users if not name.startswith(("ops.simulator.", "ops.demo."))} == set()


@pytest.mark.parametrize(
    ("library", "user"),
    [
        ("swiglpk", "redox_balancer.cell.glpk"),
        ("highspy", "redox_balancer.search.milp"),
        ("cobra", "redox_balancer.cell.cobrapy"),
    ],
)
def test_one_module_imports_a_library(library: str, user: str) -> None:
    def imports_it(path: Path) -> bool:
        running = re.sub(r"^if TYPE_CHECKING:\n(?: +.*\n|\n)+", "", path.read_text(), flags=re.MULTILINE)
        return re.search(rf"^ *(import|from) {library}\b", running, flags=re.MULTILINE) is not None

    assert [name for name, path in modules().items() if imports_it(path)] == [user]


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_module_is_too_long() -> None:
    paths = [*modules().values(), *(ROOT / "tests").rglob("*.py")]
    assert {str(path.relative_to(ROOT)) for path in paths if lines_of(path) > MODULE_LINES} == set()


def classes() -> list[tuple[str, ast.ClassDef]]:
    return [
        (module, node)
        for module, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    ]


def test_no_class_is_too_long() -> None:
    assert {node.name for _, node in classes() if (node.end_lineno or 0) - node.lineno >= CLASS_LINES} == set()


def test_a_public_class_name_means_one_thing() -> None:
    where = defaultdict(list)
    for module, node in classes():
        if not node.name.startswith("_"):
            where[node.name].append(module)
    shared = {name: found for name, found in where.items() if len(found) > 1}
    assert shared == {}


def texts_of(path: Path) -> list[str]:
    """The string literals of a file, without docstrings."""
    literals = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)]
    alone = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
    return [node.value for node in literals if isinstance(node.value, str) and id(node) not in alone]


def test_inner_layers_name_no_option_and_no_command() -> None:
    """`cli` adds the options to a hint, from the settings that a RedoxError names."""
    found = commands_of(app, "redox")
    parameters = chain.from_iterable(command.params for command in found.values())
    options = {option for each in parameters for option in each.opts if option.startswith("--")}
    commands = {name.rpartition(" ")[2] for name in found if name != "redox"}
    assert "--num-actors" in options
    assert "train" in commands
    named = re.compile(
        rf"(?:{'|'.join(sorted(options))})(?![\w-])|\bredox (?:{'|'.join(sorted(commands))})\b|\bmake [a-z]+-[a-z]+"
    )
    found = {
        name
        for name, path in modules().items()
        if name.startswith("redox_balancer.") and name.split(".")[1] not in ("cli", "terminal", "__main__")
        # An option alone is an argument of a program that is started.
        if any(named.search(text) and " " in text for text in texts_of(path))
    }
    assert found == set()


def test_calls_that_never_free_their_arrays_are_not_used() -> None:
    for path in modules().values():
        called = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        assert not called & {"as_doubleArray", "as_intArray"}, path


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("redox_balancer", [*HEAVY, "pandas", "pydantic", "typer"]),
        ("redox_balancer.cli", [*HEAVY, "pandas", "pydantic", "redox_balancer.design", "redox_balancer.cli.design"]),
        ("redox_balancer.design.env", ["torch", "ray", "cobra", "scipy", "pandas", "matplotlib"]),
        ("redox_balancer.design.task", ["torch", "ray", "cobra", "pandas", "matplotlib"]),
        ("redox_balancer.impala.policy", ["torch", "ray", "cobra", "gymnasium"]),
        ("redox_balancer.impala.actor_pool", ["torch", "cobra", "pandas", "tensorboard"]),
        ("redox_balancer.runs.checkpoint", ["torch", "ray", "cobra", "gymnasium", "pandas", "tensorboard"]),
        ("redox_balancer.runs.progress", ["torch", "ray", "tensorboard", "gymnasium"]),
        ("redox_balancer.runs.remote.run", ["torch", "ray", "cobra", "gymnasium", "boto3"]),
        ("infra.settings", ["torch", "ray", "cobra", "boto3", "aws_cdk", "pydantic", "numpy"]),
    ],
)
def test_light_modules_stay_light(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print(*[m for m in {heavy!r} if m in sys.modules])"
    answer = python(code, cwd=ROOT)
    assert (answer.stdout.split(), answer.returncode) == ([], 0), answer.stderr


@pytest.mark.parametrize(
    ("line", "heavy"),
    [
        ("--help", [*HEAVY, "pandas", "pydantic", "redox_balancer.cell", "redox_balancer.cli.design"]),
        ("design --help", [*HEAVY, "pandas", "redox_balancer.designer"]),
        ("design", LIBRARIES),
        ("search greedy --placements 1 --conditions hypoxia", [*LIBRARIES, "highspy"]),
        ("diagnose --conditions hypoxia", [*LIBRARIES, "highspy"]),
        ("enzymes", [*LIBRARIES, "highspy"]),
    ],
)
def test_a_command_loads_no_library_that_it_does_not_need(line: str, heavy: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, atexit; from redox_balancer.cli import main; "
        f"atexit.register(lambda: print('loaded:', *[m for m in {heavy!r} if m in sys.modules])); main()"
    )
    answer = python(code, *line.split(), cwd=tmp_path)
    assert (answer.stdout.splitlines()[-1], answer.returncode) == ("loaded:", 0), answer.stderr


def test_the_container_folder_holds_no_python() -> None:
    assert not list((ROOT / "docker").rglob("*.py"))
