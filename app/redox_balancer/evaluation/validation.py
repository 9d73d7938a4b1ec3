"""Runs the experiments of `data/experiments.toml` on a network and scores them by the rule of `verdicts.py`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from redox_balancer.cell.media import Medium
from redox_balancer.cell.missing import does_not_grow
from redox_balancer.cell.network import Network
from redox_balancer.cell.ratio_capacity import HeldByMedium
from redox_balancer.design.formulation import at_natural_abundance
from redox_balancer.evaluation import verdicts
from redox_balancer.evaluation.experiments import Assay, Experiment, load_experiments
from redox_balancer.evaluation.laboratory import CannotExpressError, Cell, Laboratory
from redox_balancer.evaluation.verdicts import Finding, Verdict
from redox_balancer.progress import Progress, no_progress

FACTORS = (0.5, 2.0)  # factors by which each cap of the medium is varied
EXTENDED = ", extended"  # what the name of the embedded core has in addition where its extension is applied


class Standing(StrEnum):
    """What became of an experiment on a model."""

    RIGHT = "right"
    WRONG = "wrong"
    PARTLY = "partly expressed"  # all assays that the model can express are right
    NOT_EXPRESSED = "not expressed"


@dataclass(frozen=True)
class AssayResult:
    """What a model predicts in an assay, with the numbers behind it: growth in 1/h, fluxes in mmol/gDW/h.

    The verdict is None where the model cannot express the assay, and `obstacle` says why; `left_out` are supplements
    of the medium that it does not know. `held` is the share of draws of the energies with the
    expected verdict on a rescue.
    """

    assay: Assay
    verdict: Verdict | None
    figures: Mapping[str, float] = field(default_factory=dict)
    obstacle: str = ""
    left_out: tuple[str, ...] = ()
    held: float | None = None

    @property
    def right(self) -> bool | None:
        """Whether it comes out as expected; None where it cannot be expressed."""
        return None if self.verdict is None else self.verdict.finding is self.assay.expected

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        return {
            "setting": str(self.assay),
            "expected": self.assay.expected.value,
            "predicted": self.verdict.finding.value if self.verdict else None,
            "right": self.right,
            "figures": dict(self.figures),
            "hangs_on_ratio": self.assay.ratio,
            "obstacle": self.obstacle or None,
            "left_out": list(self.left_out),
            "held": self.held,
        }


@dataclass(frozen=True)
class ExperimentResult:
    """An experiment on a model; `reason` says why it comes out so, as far as known."""

    experiment: Experiment
    assays: tuple[AssayResult, ...]
    reason: str = ""

    @property
    def standing(self) -> Standing:
        """Right, wrong, or not to be judged."""
        found = {result.right for result in self.assays}
        if False in found:
            return Standing.WRONG
        if None not in found:
            return Standing.RIGHT
        return Standing.PARTLY if True in found else Standing.NOT_EXPRESSED

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        return {
            "id": self.experiment.id,
            "finding": self.experiment.finding,
            "source": self.experiment.source,
            "standing": self.standing.value,
            "reason": self.reason or None,
            "assays": [result.data() for result in self.assays],
        }


@dataclass(frozen=True)
class Flip:
    """An assay that comes out otherwise with another value of one cap of the medium."""

    cap: str
    assumed: bool
    value: float
    factor: float
    experiment: str
    setting: str
    before: str
    after: str

    def __str__(self) -> str:
        mark = ", assumed" if self.assumed else ""
        return (
            f"{self.cap} ({self.value:g}{mark}) x {self.factor:g}: {self.experiment}: {self.setting}: "
            f"{self.before} -> {self.after}"
        )


@dataclass(frozen=True)
class Validation:
    """All experiments on a model; `flips` is None where the caps were not varied."""

    model: str
    medium: str
    results: tuple[ExperimentResult, ...]
    flips: tuple[Flip, ...] | None = None

    @property
    def counts(self) -> dict[Standing, int]:
        """How many experiments came out how, without the extra ones."""
        found = Counter(result.standing for result in self.results if not result.experiment.extra)
        return {standing: found[standing] for standing in Standing}

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        return {
            "model": self.model,
            "medium": self.medium,
            "counts": {standing.value: count for standing, count in self.counts.items()},
            "experiments": [result.data() for result in self.results],
            "flips": None if self.flips is None else [vars(flip) for flip in self.flips],
        }


def validate(
    network: Network,
    medium: Medium,
    capacities: Mapping[str, float],
    *,
    vary: bool = False,
    ratios: bool = False,
    draws: int = 0,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    extended: bool = False,
    progress: Progress = no_progress,
) -> Validation:
    """Run every experiment on a model, given without a medium; `capacities` are its native limits by reaction.

    A RedoxError where the model does not grow on the medium, or has none of its exchanges.

    Parameters
    ----------
    vary
        Repeat them at half and twice each cap of the medium.
    ratios
        Growth by capacities that depend on the ratios of NAD+ to NADH, measured ones where known, see `Laboratory`.
    draws
        With `ratios`: how often the rescues are repeated with energies drawn from their uncertainty.
    ranges
        With `ratios`: ranges of concentrations that replace those of conditions and of the package, M.
    extended
        Whether the model is the embedded core with its extension, which its name then says.
    """
    file = load_experiments()
    model = f"{network.id}{EXTENDED * extended}{', with ratios' * ratios}{', other concentrations' if ranges else ''}"
    if ratios:
        capacities = {**capacities, **HeldByMedium.of(network).capacities}
    with Laboratory(
        at_natural_abundance(medium.apply(network), capacities), file, ratios=ratios, draws=draws, ranges=ranges
    ) as laboratory:
        if laboratory.growth(Cell()) <= verdicts.ZERO:
            raise does_not_grow(laboratory.network, f"medium {medium.id!r}")
        results = []
        for done, experiment in enumerate(file.experiments.values()):
            progress("experiments", done, len(file.experiments))
            assays = tuple(_run(laboratory, assay) for assay in experiment.assays)
            names = model, model.replace(EXTENDED, "")
            miss = next(filter(None, (file.misses.get(f"{name}:{experiment.id}") for name in names)), None)
            results.append(ExperimentResult(experiment, assays, miss.reason if miss else ""))
        flips: list[Flip] = []
        varied = [(name, cap, factor) for name, cap in medium.caps.items() for factor in FACTORS] if vary else []
        for done, (name, cap, factor) in enumerate(varied):
            progress(f"{name} x {factor:g}", done, len(varied))
            laboratory.move(at_natural_abundance(medium.varied(name, factor).apply(network), capacities))
            for each in results:
                for before in each.assays:
                    was, now = _finding(before), _finding(_run(laboratory, before.assay))
                    if was != now:
                        at = name, cap.assumed, cap.value, factor
                        flips.append(Flip(*at, each.experiment.id, str(before.assay), was, now))
    return Validation(model, medium.id, tuple(results), tuple(flips) if vary else None)


def _finding(result: AssayResult) -> str:
    return result.verdict.finding.value if result.verdict else "not expressed"


def _run(laboratory: Laboratory, assay: Assay) -> AssayResult:
    """Run an assay, or find out what the model lacks for it."""
    left_out = tuple(name for name in assay.medium if laboratory.missing(name))
    medium = tuple(name for name in assay.medium if name not in left_out)
    try:
        laboratory.require((*assay.without, *assay.adds))
        verdict, figures = _JUDGES[assay.expected](laboratory, assay, medium)
    except CannotExpressError as error:
        return AssayResult(assay, None, {}, str(error), left_out)
    held = _held(laboratory, assay, medium) if laboratory.draws and _JUDGES[assay.expected] is _rescue else None
    return AssayResult(assay, verdict, figures, "", left_out, held)


_Judged = tuple[Verdict, dict[str, float]]


def _rescue_cells(assay: Assay, medium: tuple[str, ...]) -> dict[str, Cell]:
    treated = Cell(assay.blocks, (*medium, *assay.adds), assay.enzymes)
    return {"intact": Cell((), medium), "defect": Cell(assay.blocks, medium), "treated": treated}


def _held(laboratory: Laboratory, assay: Assay, medium: tuple[str, ...]) -> float:
    """Share of the draws in which a rescue is as expected."""
    growths = zip(*(laboratory.growths(cell)[1:] for cell in _rescue_cells(assay, medium).values()), strict=True)
    found = [verdicts.of_rescue(*map(float, each)).finding is assay.expected for each in growths]
    return sum(found) / len(found)


def _rescue(laboratory: Laboratory, assay: Assay, medium: tuple[str, ...]) -> _Judged:
    growths = {name: laboratory.growth(cell) for name, cell in _rescue_cells(assay, medium).items()}
    return verdicts.of_rescue(*growths.values()), growths


def _losses(laboratory: Laboratory, assay: Assay, medium: tuple[str, ...]) -> _Judged:
    blocked = f"{', '.join(assay.blocks)} blocked"
    cells = {"intact": (), f"{assay.lost} lost": (assay.lost,), blocked: assay.blocks}
    cells["both"] = (*assay.blocks, assay.lost)
    growths = {name: laboratory.growth(Cell(blocks, medium)) for name, blocks in cells.items()}
    return verdicts.of_losses(*growths.values()), growths


def _flux(laboratory: Laboratory, assay: Assay, medium: tuple[str, ...]) -> _Judged:
    sign, species = (1.0, assay.made) if assay.made else (-1.0, assay.taken)
    network, weights = laboratory.network, {}
    for reaction in laboratory.found(assay.by):
        amounts = network.stoichiometry_of(reaction).items()
        weights[reaction] = sign * sum(value for name, value in amounts if network.is_species(name, species))
    if not weights:
        raise CannotExpressError(f"no {', '.join(assay.by)}")
    turned = {reaction: -weight for reaction, weight in weights.items()}
    if -laboratory.least(Cell((), medium), turned, 0.0) <= verdicts.ZERO:
        raise CannotExpressError(f"{', '.join(weights)} cannot run in that direction")
    cell = Cell(assay.blocks, medium)
    growth = laboratory.growth(cell)
    least, most = 0.0, 0.0
    if growth > verdicts.ZERO:
        least = laboratory.least(cell, weights, verdicts.HELD_GROWTH * growth)
        most = -laboratory.least(cell, turned, verdicts.HELD_GROWTH * growth)
    return verdicts.of_flux(growth, least), {"growth": growth, "least flux": least, "largest flux": most}


def _selectivity(laboratory: Laboratory, assay: Assay, _medium: tuple[str, ...]) -> _Judged:
    fluxes: Mapping[str, float] = laboratory.oxidised(assay.enzymes[0])
    wanted = sum(flux for cofactor, flux in fluxes.items() if cofactor.rpartition("_")[0] == assay.taken)
    return verdicts.of_selectivity(wanted, sum(fluxes.values()) - wanted), dict(fluxes)


_JUDGES = {
    Finding.RESCUED: _rescue,
    Finding.NOT_RESCUED: _rescue,
    Finding.FLUX: _flux,
    Finding.SELECTIVE: _selectivity,
    Finding.WORSE: _losses,
}


def shown(result: AssayResult) -> str:
    """What a model predicts in one line, with the numbers."""
    if result.verdict is None:
        return f"not expressed: {result.obstacle}"
    numbers = ", ".join(
        f"{name} {value if abs(value) > verdicts.ZERO else 0.0:{'.2g' if 'flux' in name else '.4f'}}"
        for name, value in result.figures.items()
    )
    finding, decisive = result.verdict
    rescue = result.assay.expected in (Finding.RESCUED, Finding.NOT_RESCUED) and finding is not Finding.NO_DEFECT
    share = f" {round(100 * decisive)} % won back;" if rescue else ""
    left = f"; without {', '.join(result.left_out)}" if result.left_out else ""
    held = "" if result.held is None else f"; as expected in {100 * result.held:g} % of draws"
    return f"{finding}:{share} {numbers}{left}{held}"


def tally(results: Sequence[ExperimentResult]) -> str:
    """How many experiments and assays came out right, in one line; extra experiments are counted on their own."""
    extra = [result for result in results if result.experiment.extra]
    counted = _tally([result for result in results if not result.experiment.extra])
    return f"{counted}. Beyond these, {_tally(extra)}" if extra else counted


def _tally(results: Sequence[ExperimentResult]) -> str:
    assays = [result for each in results for result in each.assays]
    judged = [result for result in assays if result.verdict is not None]
    plain = [result for result in judged if not result.assay.ratio]
    counts = Counter(result.standing for result in results)
    standings = ", ".join(f"{counts[standing]} {standing}" for standing in Standing if counts[standing])
    right, plainly = (sum(bool(result.right) for result in some) for some in (judged, plain))
    return (
        f"{len(results)} experiments: {standings}; {right} of {len(judged)} assays right, {plainly} of {len(plain)} "
        "of those that do not hang on NADH/NAD+"
    )
