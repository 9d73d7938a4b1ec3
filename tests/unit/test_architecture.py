"""Who may import whom, what a light import may load, and one truth for each thing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app" / "redox_balancer"
ALLOWED = {
    "errors": set(),
    "extras": {"errors"},
    "files": {"errors"},
    "resources": set(),
    "drawing": set(),
    "progress": set(),
    "cell": {"errors", "files", "progress"},
    "design": {"errors", "files", "cell"},
    "search": {"errors", "files", "cell", "design"},
    "impala": {"errors", "resources"},
    "runs": {"errors", "files", "resources", "impala", "progress"},
    "designer": {"errors", "files", "drawing", "cell", "design", "impala", "runs", "progress"},
    "evaluation": {"errors", "cell", "design", "impala", "search", "designer", "progress"},
    "report": {"errors", "files", "drawing", "design", "search", "designer", "evaluation"},
    "bench": {"errors", "cell", "design", "impala", "runs", "progress"},
    "cli": {
        *(
            "errors",
            "extras",
            "files",
            "progress",
            "bench",
            "cell",
            "design",
            "impala",
            "runs",
            "search",
            "designer",
            "evaluation",
            "report",
        ),
    },
}


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources() -> list[Path]:
    return sorted(
        path for path in APP.rglob("*.py") if path.parent != APP or path.stem not in ("__init__", "__main__")
    )


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(APP)))
def test_imports_follow_the_arrows(path: Path) -> None:
    own = path.relative_to(APP).parts[0].removesuffix(".py")
    parts = {name.split(".")[1] for name in imported_modules(path) if name.startswith("redox_balancer.")}
    used = {part for part in parts if part in ALLOWED}
    assert used <= ALLOWED[own] | {own}
    assert not {name.split(".")[0] for name in imported_modules(path)} & {"infra", "ops"}


@pytest.mark.parametrize(("solver", "user"), [("swiglpk", "glpk.py"), ("highspy", "milp.py")])
def test_one_module_imports_a_solver(solver: str, user: str) -> None:
    assert [path.name for path in sources() if solver in imported_modules(path)] == [user]


def test_calls_that_never_free_their_arrays_are_not_used() -> None:
    for path in sources():
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not called & {"as_doubleArray", "as_intArray"}, path


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        (
            "redox_balancer.cli",
            ["torch", "ray", "cobra", "scipy", "matplotlib", "gymnasium", "swiglpk", "highspy", "boto3"],
        ),
        ("redox_balancer.design.env", ["torch", "ray", "cobra", "scipy", "pandas", "matplotlib"]),
        ("redox_balancer.design.task", ["torch", "ray", "cobra", "pandas", "matplotlib"]),
        ("redox_balancer.runs.checkpoint", ["torch", "ray", "cobra", "gymnasium"]),
        ("redox_balancer.runs.remote.run", ["torch", "ray", "cobra", "gymnasium", "boto3"]),
    ],
)
def test_light_modules_stay_light(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print(*[m for m in {heavy!r} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


def test_the_container_folder_holds_no_python() -> None:
    assert not list((APP.parents[1] / "docker").rglob("*.py"))
