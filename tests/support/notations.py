"""One model in the notations of public models: other signs, ids and compartments, the same fluxes."""

import re
from collections.abc import Callable, Iterator

import cobra

Rewrite = Callable[[cobra.Model], None]
BRACKETS = {"(": "_LPAREN_", ")": "_RPAREN_", "-": "_DASH_"}


def scaled(factor: float) -> Rewrite:
    """Exchanges with another coefficient, negative for `--> x_e`: the fluxes change, and the uptakes do not."""

    def rewrite(model: cobra.Model) -> None:
        for exchange in _exchanges(model):
            exchange.add_metabolites({m: c * (factor - 1) for m, c in exchange.metabolites.items()})
            exchange.bounds = sorted(bound / factor for bound in exchange.bounds)

    return rewrite


def split(name: str, coefficient: float = 1.0) -> Rewrite:
    """Uptakes by reactions of their own, `--> x_e` as in GECKO, or `x_e <--` with a negative coefficient."""

    def rewrite(model: cobra.Model) -> None:
        for exchange in _exchanges(model):
            (metabolite,) = exchange.metabolites
            uptake = -exchange.lower_bound / coefficient
            exchange.lower_bound = 0.0
            one_way = cobra.Reaction(
                name.format(exchange.id), lower_bound=min(0.0, uptake), upper_bound=max(0.0, uptake)
            )
            model.add_reactions([one_way])
            one_way.add_metabolites({metabolite: coefficient})

    return rewrite


def renamed(metabolite: Callable[[str, str], str], reaction: Callable[[str], str], **compartments: str) -> Rewrite:
    """Other ids of metabolites (by species and compartment), reactions and compartments, which lose their names."""

    def rewrite(model: cobra.Model) -> None:
        for one in model.metabolites:
            species, _, compartment = one.id.rpartition("_")
            one.id = metabolite(species, compartment)
            one.compartment = compartments.get(compartment, compartment)
        for one in model.reactions:
            one.id = reaction(one.id)
        model.repair()
        model.compartments = dict.fromkeys(model.compartments, "")

    return rewrite


def with_boundary_species(*, sources: bool, pairs: bool = False, name: str = "{}_b") -> Rewrite:
    """`x_e <=> x_b` for `x_e <=>`, with or without `x_b <=>`, in one reaction or in one for each direction."""

    def rewrite(model: cobra.Model) -> None:
        if pairs:
            split("{}_in", -1.0)(model)
        for exchange in _exchanges(model):
            (inside,) = exchange.metabolites
            outside = name.format(inside.id[:-2])
            if outside not in model.metabolites:
                model.add_metabolites(
                    [cobra.Metabolite(outside, formula=inside.formula, compartment=inside.compartment)]
                )
                if sources:
                    model.add_boundary(model.metabolites.get_by_id(outside), "exchange", f"EX_{outside}")
            exchange.add_metabolites({outside: -exchange.metabolites[inside]})

    return rewrite


def crossed(model: cobra.Model) -> None:
    """Boundary species of water and protons in each other's exchange, as in a published model."""
    water, protons = (model.metabolites.get_by_id(name) for name in ("h2o_b", "h_b"))
    for exchange, own, other in (("EX_h2o_e", water, protons), ("EX_h_e", protons, water)):
        reaction = model.reactions.get_by_id(exchange)
        reaction.add_metabolites({own: -reaction.metabolites[own], other: reaction.metabolites[own]})


def combined(*rewrites: Rewrite) -> Rewrite:
    """Several rewrites, one after the other."""

    def rewrite(model: cobra.Model) -> None:
        for one in rewrites:
            one(model)

    return rewrite


def _exchanges(model: cobra.Model) -> Iterator[cobra.Reaction]:
    return (reaction for reaction in list(model.reactions) if len(reaction.metabolites) == 1)


def _toolbox(identifier: str) -> str:
    return re.sub("[()-]", lambda found: BRACKETS[found[0]], identifier)


def _in_brackets(reaction: str) -> str:
    return re.sub("^(EX_.*)_e$", r"\1(e)", reaction)


BRACKETED = renamed("{}[{}]".format, _in_brackets)
NOTATIONS: dict[str, Rewrite] = {
    "usual": combined(),
    "reversed": scaled(-1.0),
    "doubled": scaled(2.0),
    "halved and reversed": scaled(-0.5),
    "split as by GECKO": split("{}_REV"),
    "split into other ids": split("import_{}", 2.0),
    "split with negative fluxes": split("{}_i", -1.0),
    "reversed and split": combined(split("{}_REV"), scaled(-1.0)),
    "brackets": BRACKETED,
    "brackets, reversed and split": combined(split("{}_REV"), scaled(-3.0), BRACKETED),
    "parentheses and dashes": renamed(lambda s, c: f"{s.replace('__', '-')}({c})", _in_brackets),
    "VMH": renamed(lambda s, c: f"{s.replace('__', '_')}[{c}]", _in_brackets),
    "prefixes": renamed(lambda s, c: f"M_{s}_{c}", "R_{}".format),
    "SBML of the COBRA Toolbox": renamed(
        lambda s, c: _toolbox(f"{s.replace('__', '-')}_{c}"),
        lambda r: _toolbox(_in_brackets(r)),
        c="Cytosol",
        e="Extra_organism",
    ),
    "CarveMe": renamed("{}_{}".format, str, c="C_c", e="C_e"),
    "ModelSEED": renamed("{}_{}0".format, "{}0".format, c="c0", e="e0"),
    "words": renamed("{}_{}".format, str, c="Cytosol", e="extracellular"),
    "numbers": renamed("{}_{}".format, str, c="1", e="compartment_2"),
    "bracketed compartments": renamed("{}[{}]".format, str, c="[c]", e="[e]"),
    "boundary species": with_boundary_species(sources=False),
    "boundary species with sources": with_boundary_species(sources=True),
    "boundary species, one reaction a direction": with_boundary_species(sources=True, pairs=True),
    "boundary species by name": with_boundary_species(sources=True, name="{}_e_boundary"),
    "boundary species by name, escaped": combined(
        with_boundary_species(sources=True, name="{}_e_boundary"),
        renamed(lambda s, c: _toolbox(f"{s.replace('__', '-')}_{c}"), str, c="c", e="e", boundary="e"),
    ),
    "boundary species, crossed": combined(with_boundary_species(sources=True), crossed),
    "dead ends, crossed": combined(with_boundary_species(sources=False), crossed),
    "boundary species, doubled": combined(scaled(-2.0), with_boundary_species(sources=True)),
}
