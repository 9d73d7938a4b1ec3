"""A proposed curation as files: a curation file like those of the package, and a log to read."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from redox_balancer.cell.correction import Direction, Mark
from redox_balancer.cell.curation import imbalance_text
from redox_balancer.cell.equation import equation_text
from redox_balancer.cell.network import Network
from redox_balancer.files import written_atomically
from redox_balancer.search.curate import CurationProposal

_BALANCE = "balance of the model's formulas and charges"
_PROBES = "probes for what is free; not looked up in the literature"


def write_curation(network: Network, proposal: CurationProposal, path: Path) -> None:
    """Write a proposal as a curation file; `network` is the model as published."""
    head = f"# Proposed curation of {network.id}: every entry is to be judged."
    _write(path, (head, "", *_entries(network, proposal)))


def write_log(network: Network, proposal: CurationProposal, path: Path) -> None:
    """Write what was found, closed and kept as a Markdown page; arguments as of `write_curation`."""
    _write(path, log_lines(network, proposal))


def _write(path: Path, lines: Iterable[str]) -> None:
    with written_atomically(path) as target:
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _entries(network: Network, proposal: CurationProposal) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for closing in proposal.closings:
        reason = f"breaks {closing.cycle} of free {closing.cycle.probe}: {closing.suspicion.why}"
        reasons.setdefault(closing.step.reaction, []).append(reason)
    for reaction, found in reasons.items():
        low, high = proposal.network.bounds_of(reaction)
        change = f"direction = {_quoted(Direction.BACKWARD if low < 0 else Direction.FORWARD)}"
        changes = [change if low < 0 or high > 0 else "closed = true"]
        named = {reaction: equation_text(network, reaction)}
        about = {"id": f"step_{reaction}", "mark": Mark.ASSUMED, "reason": "; ".join(found), "source": _PROBES}
        yield from _entry(about, changes, named)
    unbalanced = {reaction: cap for reaction, cap in proposal.unbalanced.items() if reaction not in reasons}
    for reaction, cap in unbalanced.items():
        if cap:
            reason = "does not balance, but growth or a function needs it: 1.2 times the flux that is needed"
            changes = ["unbalanced = true", f"capped = {cap!r}"]
            named = {reaction: imbalance_text(network, reaction)}
            about = {"id": f"capped_{reaction}", "mark": Mark.ASSUMED, "reason": reason, "source": _BALANCE}
            yield from _entry(about, changes, named)
    if named := {reaction: imbalance_text(network, reaction) for reaction, cap in unbalanced.items() if not cap}:
        reason = "does not balance: it creates or destroys atoms or electrons"
        about = {"id": "unbalanced", "mark": Mark.BALANCE, "reason": reason, "source": _BALANCE}
        yield from _entry(about, ["unbalanced = true", "closed = true"], named)


def _entry(about: Mapping[str, str], changes: Iterable[str], reactions: Mapping[str, str]) -> Iterator[str]:
    yield from ("[[correction]]", *(f"{key} = {_quoted(value)}" for key, value in about.items()), *changes)
    yield from ("[correction.reactions]", *(f"{_quoted(name)} = {_quoted(text)}" for name, text in reactions.items()))
    yield ""


def _quoted(text: str) -> str:
    return json.dumps(str(text), ensure_ascii=False)


def log_lines(network: Network, proposal: CurationProposal) -> Iterator[str]:
    """The lines of the log."""
    kept = f"{len(proposal.functions)} functions kept."
    yield from (f"# Curation of {network.id}", "")
    yield f"Growth {proposal.growth:.7g} 1/h before, {proposal.growth_after:.7g} after. {kept}"
    for what, names in (("Lost", proposal.lost), ("Not performed as published", proposal.not_performed)):
        if names:
            yield f"{what}: {', '.join(names)}."
    yield from ("", "| probe | before, mmol/gDW/h | after |", "| --- | --- | --- |")
    for probe, value in proposal.before.items():
        if value or proposal.after[probe]:
            yield f"| {probe} | {value:.4g} | {proposal.after[probe]:.4g} |"
    yield f"| {sum(not value for value in proposal.before.values())} others | 0 | 0 |"
    yield from ("", "## Steps closed", "")
    yield f"{len(proposal.closings)} steps (a tilde: backwards). The sum of their prices is {proposal.price}, and no"
    yield from ("set of a lower price breaks every cycle and keeps growth and functions.", "")
    for closing in proposal.closings:
        why = f"{closing.suspicion.why}, price {closing.suspicion.price}"
        yield f"- `{closing.step}` ({why}): {equation_text(network, closing.step.reaction)}"
        yield f"  - free {closing.cycle.probe}: {closing.cycle}"
    yield from ("", "## Reactions that do not balance", "")
    for reaction, cap in proposal.unbalanced.items():
        yield f"- `{reaction}` {f'at most {cap:.4g}' if cap else 'closed'}: {imbalance_text(network, reaction)}"
    yield from ("", "## All cycles found, shortest first", "")
    for cycle in proposal.cycles:
        yield f"- free {cycle.probe}, {len(cycle.steps)} steps: {cycle}"
