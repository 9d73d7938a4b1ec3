"""Fingerprint of a design space, which a policy depends on."""

import hashlib
import json
from typing import Any

import numpy as np

from redox_balancer.design.space import DesignSpace, ValueSettings


def space_fingerprint(space: DesignSpace) -> dict[str, Any]:
    """Names, limits and checksums that a design space shares with another one if a policy fits both."""
    network = space.network
    digest = hashlib.sha256()
    for array in (network.indptr, network.indices, network.data, network.lower, network.upper):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(json.dumps([network.reactions, network.metabolites, network.objective]).encode())
    return {
        "model": network.id,
        "model_sha256": digest.hexdigest(),
        "placements": [placement.id for placement in space.placements],
        "caps": [list(placement.caps) for placement in space.placements],
        "parameter_samples": [
            len(space.parameter_samples),
            hashlib.sha256(space.parameter_samples.tobytes()).hexdigest(),
        ],
        "levels": list(space.levels),
        "budget": space.budget,
        "membrane_budget": space.membrane_budget,
        "parameters": [[c.reaction, c.side.value, c.high, *(["opens"] if c.opens else [])] for c in space.changes],
        "conditions": [condition.id for condition in space.conditions],
        **_cell_lines(space),
        **_ratios(space),
        "mixtures": [condition.id for condition in space.mixtures],
        # Runs recorded before there was this price did not depend on it.
        "settings": {
            name: getattr(space.settings, name)
            for name in ValueSettings.__dataclass_fields__
            if name != "protein_price" or space.settings.reward in ("rescue", "ratio")
        },
    }


def _ratios(space: DesignSpace) -> dict[str, Any]:
    """Ratios that are held, and what capacities follow from; nothing where they depend on no ratio."""
    if space.ratios is None:
        return {}
    return {
        "ratios": [[str(one.ratio), one.low, one.high] for one in space.ratios.held],
        "energies": space.ratios.checksum,
    }


def _cell_lines(space: DesignSpace) -> dict[str, str]:
    """Checksum of measured rates, which a file of the user's may change; nothing without cell lines."""
    rates = [[line.id, *((*c.key, c.value, c.low, c.high) for c in line.changes)] for line in space.references]
    return {"cell_lines": hashlib.sha256(json.dumps(rates).encode()).hexdigest()} if rates else {}
