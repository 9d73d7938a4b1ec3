"""The exported COBRApy model, against a formulation of the same value that shares nothing with it."""

import ast
from pathlib import Path

import numpy as np
import pytest

import second_solver
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.model import designed_cell, largest_capacity, largest_growth, open_model
from second_solver import SecondSolver, random_construct


def test_the_second_solver_shares_no_formulation_with_the_package() -> None:
    tree = ast.parse(Path(second_solver.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name} & {
        "redox_balancer.design.formulation",
        "redox_balancer.design.evaluator",
        "redox_balancer.designer.model",
    }


def test_growth_and_capacity_are_those_of_the_independent_formulation(
    space: DesignSpace, evaluator: Evaluator
) -> None:
    independent, model = SecondSolver(space), open_model(Task())
    generator = np.random.default_rng(7)
    with_capacity = 0
    for condition in space.conditions:
        floor = evaluator.reference(condition).floor
        for _ in range(3):
            construct = random_construct(space, generator)
            growth, capacity = independent.outcome(construct, condition)
            with model:
                cell = designed_cell(model, space, construct, condition, floor=floor)
                found = largest_growth(cell)
                assert found == pytest.approx(growth, abs=1e-7)
                assert largest_capacity(cell, found) == pytest.approx(capacity, abs=1e-6)
            with_capacity += capacity > 0
    assert with_capacity > len(space.conditions)
