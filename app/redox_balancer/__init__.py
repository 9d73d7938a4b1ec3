"""Enzyme constructs that restore NAD+/NADH balance in human metabolic networks.

>>> import redox_balancer as rb
>>> task = rb.Task(conditions="healthy,complex_iii_closed")
>>> print(rb.evaluate(task, "LBNOX_c 0.1 % + AOX_m 0.03 %", "complex_iii_closed"))
complex_iii_closed: LBNOX_c 0.1 % + AOX_m 0.03 %, value 0.6476, growth 0.01230 1/h, capacity 1.0037 mmol/gDW/h
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from redox_balancer.version import __version__

if TYPE_CHECKING:
    from redox_balancer.api.designs import ConstructDesign, design, export, redox_map
    from redox_balancer.api.diagnoses import Diagnoses, RatioDiagnoses, diagnose, diagnose_ratios
    from redox_balancer.api.inputs import EnzymeLibrary, load_library, load_model
    from redox_balancer.api.runs import load_run, train
    from redox_balancer.api.searches import SearchOutcome, pareto_front, search
    from redox_balancer.api.values import Evaluation, EvaluationTable, evaluate, evaluate_all
    from redox_balancer.design.named_construct import NamedConstruct
    from redox_balancer.design.task import Task
    from redox_balancer.designer.redox_map import RedoxMap
    from redox_balancer.designer.trained_run import TrainedRun
    from redox_balancer.errors import RedoxError
    from redox_balancer.search.front import ParetoFront

__all__ = [
    "ConstructDesign",
    "Diagnoses",
    "EnzymeLibrary",
    "Evaluation",
    "EvaluationTable",
    "NamedConstruct",
    "ParetoFront",
    "RatioDiagnoses",
    "RedoxError",
    "RedoxMap",
    "SearchOutcome",
    "Task",
    "TrainedRun",
    "__version__",
    "design",
    "diagnose",
    "diagnose_ratios",
    "evaluate",
    "evaluate_all",
    "export",
    "load_library",
    "load_model",
    "load_run",
    "pareto_front",
    "redox_map",
    "search",
    "train",
]

_NAMES = {
    "api.designs": ("ConstructDesign", "design", "export", "redox_map"),
    "api.diagnoses": ("Diagnoses", "RatioDiagnoses", "diagnose", "diagnose_ratios"),
    "api.inputs": ("EnzymeLibrary", "load_library", "load_model"),
    "api.runs": ("load_run", "train"),
    "api.searches": ("SearchOutcome", "pareto_front", "search"),
    "api.values": ("Evaluation", "EvaluationTable", "evaluate", "evaluate_all"),
    "design.named_construct": ("NamedConstruct",),
    "design.task": ("Task",),
    "designer.redox_map": ("RedoxMap",),
    "designer.trained_run": ("TrainedRun",),
    "errors": ("RedoxError",),
    "search.front": ("ParetoFront",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}
"""Where each public name is defined; it is imported on first use, so that `import redox_balancer` takes no time."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


class _Package(ModuleType):
    """A package whose functions `design` and `search` are not hidden by its subpackages of the same names.

    An import of a subpackage assigns it to its parent; for these two that is dropped. `from redox_balancer.design
    import task` works as ever; `import redox_balancer.design.task as task`, which reads the attribute, does not.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
