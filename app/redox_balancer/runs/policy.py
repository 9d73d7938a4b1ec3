"""Reading the policy of a run."""

from __future__ import annotations

from pathlib import Path

from redox_balancer.impala.policy import Policy, PolicyShape
from redox_balancer.runs import checkpoint


def load_policy(path: Path) -> Policy:
    """Read the policy of a checkpoint folder, or of the newest whole checkpoint of a run's folder.

    A RedoxError where there is none.
    """
    found = checkpoint.find(path).checkpoint
    return Policy(PolicyShape.from_dict(found.state["policy"]), found.arrays["parameters"])
