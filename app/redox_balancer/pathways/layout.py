"""The layout of the map of redox metabolism, an Escher map, in the ids of a model.

The layout is drawn by hand (`data/redox_map.json`) and names reactions and metabolites as BiGG does. `fitted_map`
gives each the model's own id and stoichiometry, so that Escher draws the model's fluxes on it, in the right direction
where a model writes a reaction the other way round. What the model lacks stays, under its BiGG name.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from redox_balancer.cell.network import Network
from redox_balancer.cell.records import packaged
from redox_balancer.errors import RedoxError

EscherMap = list[Any]  # an Escher map, schema 1-0-0: a header, and nodes, reactions, text labels and canvas

INSERTED = "SINK_"
"""Ids of reactions of the layout that no cell has: each is the place of an enzyme that may be inserted."""

SMALLEST_SHARE = 1 / 3
"""Share of the native reactions of the map that a model has at least; with fewer, little but gaps would be drawn."""


@cache
def layout() -> EscherMap:
    """The map as it was drawn; not to be changed."""
    drawn: EscherMap = json.loads(packaged("redox_map.json").read_text(encoding="utf-8"))
    return drawn


def drawn_metabolites(reaction: Mapping[str, Any], nodes: Mapping[str, Any]) -> Iterator[str]:
    """Metabolites of a reaction at which one of its segments ends."""
    for segment in reaction["segments"].values():
        for end in ("from_node_id", "to_node_id"):
            if nodes[segment[end]]["node_type"] == "metabolite":
                yield nodes[segment[end]]["bigg_id"]


def fitted_map(network: Network, inserted: Mapping[str, Mapping[str, float]]) -> EscherMap:
    """The map in the ids of a model, with the foreign reactions `inserted`, coefficients by the model's ids.

    Places of enzymes that are not inserted are left out. A RedoxError where the model has too little of the map.
    """
    head, body = deepcopy(layout())
    reactions, nodes = body["reactions"], body["nodes"]
    own = {met: network.find_metabolite(met) or met for met in _ids(nodes)}
    free = dict(inserted)
    native = found = 0
    for key, reaction in list(reactions.items()):
        drawn = {entry["bigg_id"]: entry["coefficient"] for entry in reaction["metabolites"]}
        shown = set(drawn_metabolites(reaction, nodes))
        drawn = {own.get(met, network.find_metabolite(met) or met): value for met, value in drawn.items()}
        if reaction["bigg_id"].startswith(INSERTED):
            same = next((name for name, theirs in free.items() if _same(drawn, theirs)), None)
            if same is None:
                del reactions[key]
                continue
            reaction["bigg_id"], theirs = same, free.pop(same)
        else:
            native += 1
            name = network.find_reaction(reaction["bigg_id"])
            theirs = {} if name is None else network.stoichiometry_of(name)
            signs = {theirs[own[met]] * drawn[own[met]] > 0 for met in shown if own[met] in theirs}
            if name is None or len(signs) != 1:
                theirs = drawn
            else:
                found += 1
                reaction["bigg_id"] = name
                turn = 1.0 if signs.pop() else -1.0
                theirs = {own[met]: turn * drawn[own[met]] for met in sorted(shown)} | theirs
        reaction["metabolites"] = [{"coefficient": value, "bigg_id": met} for met, value in theirs.items()]
    if found < SMALLEST_SHARE * native:
        raise RedoxError(
            f"model {network.id} has {found} of the {native} reactions of the drawn map",
            hint="the map shows central metabolism of human cells: use a model with BiGG ids or names",
        )
    used = {segment[end] for r in reactions.values() for segment in r["segments"].values() for end in _ENDS}
    body["nodes"] = {key: node for key, node in nodes.items() if key in used}
    for node in body["nodes"].values():
        if "bigg_id" in node:
            node["bigg_id"] = own[node["bigg_id"]]
    head["map_name"] = f"redox_balancer.{network.id}"
    return [head, body]


_ENDS = ("from_node_id", "to_node_id")


def _ids(nodes: Mapping[str, Any]) -> set[str]:
    return {node["bigg_id"] for node in nodes.values() if "bigg_id" in node}


def _same(drawn: Mapping[str, float], theirs: Mapping[str, float]) -> bool:
    return dict(drawn) in (dict(theirs), {met: -value for met, value in theirs.items()})
