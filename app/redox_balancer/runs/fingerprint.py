"""Comparison of the environment fingerprints of a run and of its continuation or use."""

import json
from collections.abc import Mapping
from typing import Any

RENAMED = {"figure_sets": "parameter_samples"}
"""Entries that runs of version 0.1 recorded under another name."""


def differing_entries(ours: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Names of the entries of an environment's fingerprint that differ from those a run has recorded."""
    now = json.loads(json.dumps(dict(ours)))
    then = {RENAMED.get(name, name): entry for name, entry in recorded.items()}
    return sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
