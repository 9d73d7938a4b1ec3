"""How a library fits a model: which entries can be placed, and why the others cannot.

Foreign chemistry becomes a reaction of its own, `SINK_<enzyme>_<compartment>`. Where the model has the reaction
already, in either direction and with any factor, the enzyme raises that reaction's limit instead: a second copy of
a reversible reaction would form a loop with the first and carry any flux at no cost.

Entries are left out, each with its reason, when the model lacks something they need, when they do not balance in
the model's own formulas, when they close a loop (alone or together with others), when they can change nothing, and
when another entry does the same with less protein. So one library serves any model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from redox_balancer.cell.balance import imbalance
from redox_balancer.cell.cycles import closed_network, cycle_through, unblocked
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Network
from redox_balancer.design.enzymes import Enzyme, Site
from redox_balancer.design.placement import ExcludedEntry, Placement, Reason
from redox_balancer.design.settings import Candidates
from redox_balancer.errors import RedoxError

LOOP_TOLERANCE = 1e-9
"""Largest flux, mmol/gDW/h, that a reaction may show with every exchange closed."""


@dataclass(frozen=True)
class Fit:
    """What of a library can be placed in a model, and what cannot."""

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
        Proteome fractions to buy flux with.
    saturation
        Share of kcat at which an enzyme without a known KM runs.
    limited
        Native reactions whose enzyme limits them, always or under a condition; to express more of another is idle.
    candidates
        `distinct` leaves out what another entry does with less protein, `all` keeps it.

    Raises
    ------
    RedoxError
        Nothing of the library can be placed.
    """
    excluded: list[ExcludedEntry] = []
    twins = _Duplicates(network)
    found = [
        checked
        for enzyme in library.values()
        for site in enzyme.sites
        if (checked := _placement(enzyme, site, twins, excluded, levels=levels, saturation=saturation)) is not None
    ]
    found = _limited(found, limited, network, excluded)
    if candidates == "distinct":
        found = _distinct(found, excluded)
    found = _without_loops(found, network, excluded)
    found = _runnable(found, network, excluded)
    if not found:
        first = excluded[0]
        raise RedoxError(
            f"nothing of the enzyme library can be placed in model {network.id}: {first.id}: {first.detail}",
            hint="models in other identifiers than BiGG's need BiGG names among their annotations",
        )
    return Fit(tuple(found), tuple(excluded))


def _placement(
    enzyme: Enzyme,
    site: Site,
    twins: _Duplicates,
    excluded: list[ExcludedEntry],
    *,
    levels: Sequence[float],
    saturation: float,
) -> Placement | None:
    network, name = twins.network, f"{enzyme.id}_{site.compartment}"
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
        native, factor = twins.of(stoichiometry, reversible=site.reversible)
    share = enzyme.saturation(site, saturation)
    return Placement(
        id=name,
        enzyme=enzyme,
        site=site,
        reaction=native or f"SINK_{name}",
        stoichiometry=stoichiometry,
        foreign=native is None,
        caps=tuple(enzyme.capacity(level, share) / factor for level in levels),
    )


def _surplus(stoichiometry: Mapping[str, float], network: Network) -> str:
    """What a reaction makes or loses in the model's formulas, in words; nothing where a formula is not known."""
    if any(metabolite not in network.formulas for metabolite in stoichiometry):
        return ""
    surplus = imbalance(stoichiometry, network.formulas, network.charges)
    listed = ", ".join(f"{element} {amount:+g}" for element, amount in surplus.items())
    return f"not balanced in the model's formulas: {listed}" if surplus else ""


class _Duplicates:
    """Finds the native reaction with the same metabolites in the same proportions, whatever its direction."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._found: dict[frozenset[tuple[str, float]], tuple[str, float]] = {}
        # An open reaction before a closed one, an earlier one before a later.
        for reaction in sorted(
            network.reactions, key=lambda r: not network.bounds_of(r)[1] > network.bounds_of(r)[0]
        ):
            stoichiometry = network.stoichiometry_of(reaction)
            if stoichiometry:
                key, scale = _proportions(stoichiometry)
                self._found.setdefault(key, (reaction, scale))

    def of(self, stoichiometry: Mapping[str, float], *, reversible: bool) -> tuple[str | None, float]:
        """The twin, None if there is none, and how many times the given reaction one turn of it is.

        A native reaction that runs only against a one-way reaction is no twin of it: together they are a loop.
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
    """Drop native placements whose reaction nothing limits, so that more enzyme changes nothing."""
    kept = []
    for placement in found:
        if placement.foreign or placement.reaction in limited:
            kept.append(placement)
            continue
        lower, upper = network.bounds_of(placement.reaction)
        why = "is closed" if lower == upper == 0 else "is not limited by its enzyme"
        excluded.append(ExcludedEntry(placement.id, Reason.IDLE, f"native reaction {placement.reaction} {why}"))
    return kept


def _without_loops(found: Iterable[Placement], network: Network, excluded: list[ExcludedEntry]) -> list[Placement]:
    """Drop foreign placements that close a loop: first those that do alone, then the last one of every joint loop."""
    kept = list(found)
    closed = closed_network(network.with_columns([p.column for p in kept if p.foreign]))

    def opened(placements: Iterable[Placement]) -> Network:
        return closed.with_bounds({p.reaction: p.bounds(OPEN) for p in placements if p.foreign})

    def exclude(placement: Placement, cycle: tuple[str, ...]) -> None:
        others = ", ".join(reaction for reaction in cycle if reaction != placement.reaction)
        excluded.append(ExcludedEntry(placement.id, Reason.LOOP, f"closes a loop with {others}", cycle))
        kept.remove(placement)

    def running() -> tuple[str, ...]:
        return unblocked(opened(kept), [p.reaction for p in kept if p.foreign], LOOP_TOLERANCE)

    # What runs alone runs among all others as well.
    suspects = running()
    for placement in [p for p in kept if p.reaction in suspects]:
        if cycle := cycle_through(opened([placement]), placement.reaction):
            exclude(placement, cycle)
    while cycle := next(filter(None, (cycle_through(opened(kept), reaction) for reaction in running())), ()):
        exclude([p for p in kept if p.foreign and p.reaction in cycle][-1], cycle)
    return kept


def _runnable(found: Sequence[Placement], network: Network, excluded: list[ExcludedEntry]) -> list[Placement]:
    """Drop foreign placements that cannot carry flux in the cell, whatever else is placed."""
    foreign = [p for p in found if p.foreign]
    opened = network.with_columns([p.column for p in foreign]).with_bounds(
        {p.reaction: p.bounds(OPEN) for p in foreign}
    )
    running = set(unblocked(opened, [p.reaction for p in foreign], LOOP_TOLERANCE))
    kept = [p for p in found if not p.foreign or p.reaction in running]
    excluded += [
        ExcludedEntry(p.id, Reason.IDLE, "cannot carry flux: the model does not make or use what it needs")
        for p in found
        if p not in kept
    ]
    return kept


def _distinct(found: Sequence[Placement], excluded: list[ExcludedEntry]) -> list[Placement]:
    """Keep, of placements that do the same, the one that buys the most flux with a share of the proteome."""
    best: dict[object, Placement] = {}

    def what(p: Placement) -> object:
        return p.enzyme.membrane, (
            (frozenset(p.stoichiometry.items()), p.site.reversible) if p.foreign else p.reaction
        )

    for placement in found:
        other = best.get(what(placement))
        if other is None or placement.caps > other.caps:
            best[what(placement)] = placement
    kept = [p for p in found if best[what(p)] is p]
    excluded += [
        ExcludedEntry(p.id, Reason.OUTDONE, f"{best[what(p)].id} does the same with less protein")
        for p in found
        if best[what(p)] is not p
    ]
    return kept
