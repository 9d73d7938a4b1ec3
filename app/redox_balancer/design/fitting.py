"""Fit of a library to a model: the entries that can be placed, and the reasons why the others cannot.

A foreign reaction is added to the model as `SINK_<enzyme>_<compartment>`. Where the model has the reaction already,
in either direction and with any factor, the enzyme raises the limit of that reaction instead: a second copy of a
reversible reaction would form a cycle with the first one and carry any flux at no cost.

An entry is excluded if the model lacks a metabolite, if the reaction does not balance in the model's own formulas, if
it closes a thermodynamically infeasible cycle (alone or together with others), if it has no effect, or if another
entry dominates it, doing the same with less protein. Thus one library serves any model.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from redox_balancer.cell.balance import imbalance
from redox_balancer.cell.cycles import closed_network, cycle_through, unblocked, without_enzymes
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import LEDGER, Network
from redox_balancer.design.enzymes import NADPH, Enzyme, Site, free_concentration
from redox_balancer.design.placement import ExcludedEntry, Placement, Reason
from redox_balancer.design.settings import Candidates
from redox_balancer.errors import RedoxError


class Fit(NamedTuple):
    """Placements of a library in a model, and the entries that are excluded."""

    placements: tuple[Placement, ...]
    excluded: tuple[ExcludedEntry, ...]


def fit(
    library: Mapping[str, Enzyme],
    network: Network,
    levels: Sequence[float],
    saturation: float,
    *,
    limited: Collection[str] = (),
    candidates: Candidates = "distinct",
) -> Fit:
    """Check every entry of a library against a model.

    Parameters
    ----------
    library
        Enzymes by id.
    network
        The model on its medium.
    levels
        Proteome fractions that an enzyme can be given.
    saturation
        Share of kcat at which an enzyme without a known KM operates.
    limited
        Native reactions that are limited by their enzyme, always or under a condition; over-expressing any other
        enzyme has no effect.
    candidates
        `distinct` excludes dominated entries, `all` keeps them.

    Raises
    ------
    RedoxError
        Nothing of the library can be placed, unless it is empty, or an entry has a KM and no NAD(P)H that is known by
        its BiGG name.
    """
    excluded: list[ExcludedEntry] = []
    natives = _NativeReactions(network)
    entries = [(enzyme, site) for enzyme in library.values() for site in enzyme.sites]
    checked = [_placement(*entry, natives, excluded, levels=levels, saturation=saturation) for entry in entries]
    found = [placement for placement in checked if placement]
    found = _limited(found, limited, network, excluded)
    if candidates == "distinct":
        found = _distinct(found, excluded)
    found = _without_cycles(found, network, excluded)
    found = _runnable(found, network, excluded)
    if library and not found:
        first = excluded[0]
        raise RedoxError(
            f"nothing of the enzyme library can be placed in model {network.id}: {first.id}: {first.detail}",
            hint="a model in identifiers other than BiGG's needs BiGG names among its annotations",
            settings=("enzymes", "model"),
        )
    return Fit(tuple(found), tuple(excluded))


def _placement(
    enzyme: Enzyme,
    site: Site,
    natives: "_NativeReactions",
    excluded: list[ExcludedEntry],
    *,
    levels: Sequence[float],
    saturation: float,
) -> Placement | None:
    network, name = natives.network, f"{enzyme.id}_{site.compartment}"
    own = {metabolite: network.find_metabolite(metabolite) for metabolite in site.stoichiometry}
    missing = [metabolite for metabolite, found in own.items() if found is None]
    native = network.find_reaction(site.native) if site.native is not None else None
    if missing and native is None:
        excluded.append(ExcludedEntry(name, Reason.MISSING, f"the model has no {', '.join(missing)}"))
        return None
    stoichiometry = {own[metabolite] or metabolite: amount for metabolite, amount in site.stoichiometry.items()}
    factor = 1.0
    if native is None:
        surplus = _surplus(stoichiometry, network)
        if surplus:
            excluded.append(ExcludedEntry(name, Reason.UNBALANCED, surplus))
            return None
        native, factor = natives.equivalent(stoichiometry, reversible=site.reversible)
    if enzyme.km_mm is not None and not any(network.is_species(metabolite, *NADPH) for metabolite in stoichiometry):
        raise RedoxError(
            f"{name} has a KM, but model {network.id} knows none of {', '.join(stoichiometry)} as NADH or NADPH",
            hint="annotate them with the BiGG names nadh and nadph, or remove the KM to use the setting saturation",
            settings=("enzymes", "model"),
        )
    concentration = free_concentration(network, stoichiometry)
    operating = enzyme.saturation(concentration, saturation)
    return Placement(
        id=name,
        enzyme=enzyme,
        site=site,
        reaction=native or f"SINK_{name}",
        stoichiometry=stoichiometry,
        foreign=native is None,
        caps=tuple(enzyme.capacity(level, operating) / factor for level in levels),
        cofactor_mm=concentration,
    )


def _surplus(stoichiometry: Mapping[str, float], network: Network) -> str:
    """Imbalance of a reaction in the model's formulas, in words; empty if it balances or a formula is unknown."""
    if any(metabolite not in network.formulas for metabolite in stoichiometry):
        return ""
    surplus = imbalance(stoichiometry, network.formulas, network.charges)
    listed = ", ".join(f"{element} {amount:+g}" for element, amount in surplus.items())
    return f"not balanced in the model's formulas: {listed}" if surplus else ""


class _NativeReactions:
    """Index of native reactions by their metabolites and proportions, regardless of direction."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._found: dict[frozenset[tuple[str, float]], tuple[str, float]] = {}
        # An open reaction before a closed one, an earlier one before a later.
        for reaction in sorted(
            network.reactions, key=lambda r: not network.bounds_of(r)[1] > network.bounds_of(r)[0]
        ):
            stoichiometry = {m: c for m, c in network.stoichiometry_of(reaction).items() if not m.endswith(LEDGER)}
            if stoichiometry:
                key, scale = _proportions(stoichiometry)
                self._found.setdefault(key, (reaction, scale))

    def equivalent(self, stoichiometry: Mapping[str, float], *, reversible: bool) -> tuple[str | None, float]:
        """The native duplicate of a reaction, None if there is none, and its multiple of the given coefficients.

        A native reaction that runs only in the opposite direction of an irreversible one is not a duplicate: together
        they form a cycle.
        """
        key, scale = _proportions(stoichiometry)
        reaction, native_scale = self._found.get(key, (None, scale))
        if reaction is not None and not reversible:
            lower, upper = self.network.bounds_of(reaction)
            against = lower >= 0 < upper if native_scale * scale < 0 else upper <= 0 > lower
            if against:
                return None, 1.0
        return reaction, abs(native_scale / scale)


def _proportions(stoichiometry: Mapping[str, float]) -> tuple[frozenset[tuple[str, float]], float]:
    scale = stoichiometry[min(stoichiometry)]
    return frozenset((metabolite, round(amount / scale, 6)) for metabolite, amount in stoichiometry.items()), scale


def _limited(
    found: Iterable[Placement], limited: Collection[str], network: Network, excluded: list[ExcludedEntry]
) -> list[Placement]:
    """Exclude native placements whose reaction is not limited by the enzyme, so that more of it has no effect."""
    kept = []
    for placement in found:
        if placement.foreign or placement.reaction in limited:
            kept.append(placement)
            continue
        lower, upper = network.bounds_of(placement.reaction)
        why = "is closed" if lower == upper == 0 else "is not limited by its enzyme"
        excluded.append(ExcludedEntry(placement.id, Reason.IDLE, f"native reaction {placement.reaction} {why}"))
    return kept


def _without_cycles(found: Iterable[Placement], network: Network, excluded: list[ExcludedEntry]) -> list[Placement]:
    """Exclude placements that close a cycle: first those that do so alone, then the last one of each joint cycle."""
    kept = list(found)
    closed = closed_network(network.with_columns([p.column for p in kept if p.foreign]))

    def opened(placements: Iterable[Placement]) -> Network:
        return closed.with_bounds({p.reaction: p.bounds(OPEN) for p in placements if p.foreign})

    def exclude(placement: Placement, cycle: tuple[str, ...]) -> None:
        others = ", ".join(reaction for reaction in cycle if reaction != placement.reaction)
        excluded.append(ExcludedEntry(placement.id, Reason.CYCLE, f"closes an infeasible cycle with {others}", cycle))
        kept.remove(placement)

    def running() -> tuple[str, ...]:
        return unblocked(opened(kept), [p.reaction for p in kept if p.foreign])

    # A cycle that a placement closes alone exists among all others as well.
    suspects = running()
    for placement in [p for p in kept if p.reaction in suspects]:
        if cycle := cycle_through(opened([placement]), placement.reaction):
            exclude(placement, cycle)
    while cycle := next(filter(None, (cycle_through(opened(kept), reaction) for reaction in running())), ()):
        exclude([p for p in kept if p.foreign and p.reaction in cycle][-1], cycle)
    return kept


def _runnable(found: Sequence[Placement], network: Network, excluded: list[ExcludedEntry]) -> list[Placement]:
    """Exclude foreign placements that cannot carry flux in the cell, whatever else is placed."""
    foreign = [p for p in found if p.foreign]
    opened = network.with_columns([p.column for p in foreign]).with_bounds(
        {p.reaction: p.bounds(OPEN) for p in foreign}
    )
    running = set(unblocked(without_enzymes(opened), [p.reaction for p in foreign]))
    kept = [p for p in found if not p.foreign or p.reaction in running]
    excluded += [
        ExcludedEntry(p.id, Reason.IDLE, "cannot carry flux: the model does not produce or consume its metabolites")
        for p in found
        if p not in kept
    ]
    return kept


def _distinct(found: Sequence[Placement], excluded: list[ExcludedEntry]) -> list[Placement]:
    """Exclude dominated placements: of equivalent ones, keep the one of the largest capacity per protein."""
    functions = [
        (p.enzyme.membrane, (frozenset(p.stoichiometry.items()), p.site.reversible) if p.foreign else p.reaction)
        for p in found
    ]
    best: dict[object, Placement] = {}
    for function, placement in zip(functions, found, strict=True):
        if placement.caps > best.setdefault(function, placement).caps:
            best[function] = placement
    excluded += [
        ExcludedEntry(p.id, Reason.DOMINATED, f"{best[function].id} does the same with less protein")
        for function, p in zip(functions, found, strict=True)
        if best[function] is not p
    ]
    return [p for function, p in zip(functions, found, strict=True) if best[function] is p]
