"""Boundary species: metabolites that stand for the world outside of a model, such as `o2_b` in `o2_e <=> o2_b`.

Some programs call it `o2_e_boundary`. They have no steady state. COBRApy gives each one that SBML declares an
exchange of its own, so that oxygen passes two reactions; in other formats they are ordinary metabolites and dead
ends. Without them `o2_e <=> o2_b` is the exchange `o2_e <=>`, with the same optima.
"""

from typing import TYPE_CHECKING, NamedTuple

from redox_balancer.cell.media import OPEN
from redox_balancer.cell.names import EXTRACELLULAR, compartment_letter, split_metabolite
from redox_balancer.cell.repairs import shortened

if TYPE_CHECKING:
    import cobra

BOUNDARY = "b"  # compartment of boundary species, in BiGG's ids and by the name `boundary`


class BoundarySpecies(NamedTuple):
    """A boundary species, its exchanges with the metabolite inside, and the reaction that supplies it, if any."""

    metabolite: "cobra.Metabolite"
    exchanges: "tuple[cobra.Reaction, ...]"
    source: "cobra.Reaction | None"


def find_boundary_species(model: "cobra.Model") -> list[BoundarySpecies]:
    """Find the metabolites of a model that are certain to be boundary species.

    They are in the compartment `b` by their id or its name, and take part in nothing but the exchange with one
    metabolite of another compartment, and in a source of their own. The names of both agree in most; published models
    also have `h_e <=> h2o_b` beside them. A source with limits of its own is not left out if it serves several
    exchanges.
    """
    letters = {own: compartment_letter(own, name or "") for own, name in model.compartments.items()}
    found: list[BoundarySpecies] = []
    named = False
    for metabolite in model.metabolites:
        suffix = split_metabolite(metabolite.id)[1]
        if BOUNDARY not in (compartment_letter(suffix, ""), letters.get(metabolite.compartment or "")):
            continue
        reactions = sorted(metabolite.reactions, key=lambda reaction: reaction.id)
        sources = [reaction for reaction in reactions if len(reaction.metabolites) == 1]
        exchanges = [reaction for reaction in reactions if len(reaction.metabolites) > 1]
        insides = {_inside(reaction, metabolite) for reaction in exchanges}
        if len(sources) > 1 or len(insides) != 1 or (inside := insides.pop()) is None:
            continue
        same = _same_name(metabolite, inside)
        outer = EXTRACELLULAR in (split_metabolite(inside.id)[1], letters.get(inside.compartment or ""))
        source = sources[0] if sources else None
        spare = source is None or not source.objective_coefficient
        if len(exchanges) > 1 and source is not None:
            spare &= bool(source.lower_bound <= -OPEN and source.upper_bound >= OPEN)
        if (same or outer) and spare:
            named |= same
            found.append(BoundarySpecies(metabolite, tuple(exchanges), source))
    return found if named else []


def fold_boundary_species(model: "cobra.Model") -> tuple[str, ...]:
    """Leave the boundary species out of a model, in place, and return that in one line; nothing if there are none.

    An exchange gets the limits of the source that it replaces as well.
    """
    found = find_boundary_species(model)
    if not found:
        return ()
    for metabolite, exchanges, source in found:
        if source is not None and len(exchanges) == 1:
            factor = -exchanges[0].metabolites[metabolite] / source.metabolites[metabolite]
            low, high = sorted(bound / factor for bound in source.bounds)
            lower, upper = exchanges[0].bounds
            exchanges[0].bounds = max(lower, min(low, upper)), min(upper, max(high, lower))
    names = [metabolite.id for metabolite, _, _ in found]
    model.remove_reactions([source for _, _, source in found if source is not None])
    model.remove_metabolites([metabolite for metabolite, _, _ in found])
    return (f"boundary species left out, their reactions are exchanges: {shortened(names)}",)


def _inside(reaction: "cobra.Reaction", boundary: "cobra.Metabolite") -> "cobra.Metabolite | None":
    """The metabolite that a reaction exchanges with a boundary species, None if it does anything else."""
    if len(reaction.metabolites) != 2:
        return None
    (other,) = (metabolite for metabolite in reaction.metabolites if metabolite is not boundary)
    return other if reaction.metabolites[other] == -reaction.metabolites[boundary] else None


def _same_name(boundary: "cobra.Metabolite", inside: "cobra.Metabolite") -> bool:
    names = [split_metabolite(metabolite.id.removesuffix("_boundary"))[0] for metabolite in (boundary, inside)]
    return bool(names[0] == names[1] if names[0] else boundary.name == inside.name)
