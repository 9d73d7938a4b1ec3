"""The redox map: complete, in the format of Escher, and fitted to models that write reactions in their own way."""

from dataclasses import replace

import jsonschema
import pytest

from escher import escher
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.names import Names
from redox_balancer.cell.network import Column, Network
from redox_balancer.design.enzymes import load_library
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.pathways.layout import INSERTED, drawn_metabolites, fitted_map, layout

__all__ = ["escher"]


@pytest.fixture(scope="module")
def core() -> Network:
    return Task().space().network


def test_the_map_is_one_that_escher_loads(core: Network, escher: jsonschema.Draft4Validator) -> None:
    for chart in (layout(), fitted_map(core, {})):
        escher.validate(chart)
        head, body = chart
        ends = {
            segment[end]
            for reaction in body["reactions"].values()
            for segment in reaction["segments"].values()
            for end in ("from_node_id", "to_node_id")
        }
        assert ends == body["nodes"].keys()
        assert head["metadata"]["source"]


def test_every_reaction_of_the_core_with_nadph_or_a_quinone_is_drawn_with_it(core: Network) -> None:
    _, body = layout()
    drawn = {r["bigg_id"]: set(drawn_metabolites(r, body["nodes"])) for r in body["reactions"].values()}
    carriers = {
        reaction: {m for m in core.stoichiometry_of(reaction) if core.is_species(m, "nadh", "nadph", "q10h2")}
        for reaction in core.reactions
    }
    assert sum(map(bool, carriers.values())) > 35
    assert [r for r, found in carriers.items() if found and not found & drawn.get(r, set())] == []


def test_it_has_the_stoichiometry_of_core_and_library(core: Network) -> None:
    sites = {
        f"{INSERTED}{enzyme.id}_{site.compartment}": parse_equation(site.reaction)
        for enzyme in load_library().values()
        for site in enzyme.sites
    }
    for reaction in layout()[1]["reactions"].values():
        name = reaction["bigg_id"]
        mine = {entry["bigg_id"]: entry["coefficient"] for entry in reaction["metabolites"]}
        assert mine == (sites[name] if name in sites else core.stoichiometry_of(name)), name


def test_every_placement_that_the_core_is_offered_has_its_place(core: Network) -> None:
    foreign = [placement for placement in Task().space().placements if placement.foreign]
    lacking = []
    for placement in foreign:
        chart = fitted_map(core, {placement.reaction: placement.stoichiometry})
        names = {reaction["bigg_id"] for reaction in chart[1]["reactions"].values()}
        lacking += [placement.id] if placement.reaction not in names else []
    assert len(foreign) > 15
    assert lacking == []


def test_a_model_with_its_own_names_and_directions_is_mapped(core: Network) -> None:
    metabolites = {name: f"MAM{row:05d}" for row, name in enumerate(core.metabolites)}
    reactions = {name: f"MAR{column:05d}" for column, name in enumerate(core.reactions)}
    other = replace(
        core,
        id="other",
        metabolites=tuple(metabolites.values()),
        reactions=tuple(reactions.values()),
        data=-core.data,
        names=Names({own: name[-1] for name, own in metabolites.items()}, metabolites, reactions),
    )
    plain, mapped = (fitted_map(network, {})[1]["reactions"] for network in (core, other))
    for key, reaction in plain.items():
        assert mapped[key]["bigg_id"] == reactions[reaction["bigg_id"]]
        theirs = {entry["bigg_id"]: entry["coefficient"] for entry in mapped[key]["metabolites"]}
        mine = {metabolites[entry["bigg_id"]]: -entry["coefficient"] for entry in reaction["metabolites"]}
        assert theirs == mine


def test_a_foreign_model_is_refused_in_one_line() -> None:
    network = Network.of("yeast", [Column("A", {"x_c": -1.0, "y_c": 1.0}, 0.0, 1.0)], "A")
    with pytest.raises(RedoxError, match=r"^model yeast has 0 of the \d+ reactions of the drawn map$") as caught:
        fitted_map(network, {})
    assert caught.value.hint
