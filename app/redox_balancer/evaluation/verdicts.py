"""The rule by which the experiments that a network should reproduce are scored.

The thresholds were written, and committed, before the first experiment was run on any model; they are the same for
every experiment and model. Two things were settled after a first run on the embedded core, which lacks much: its
medium, and that a flux which cannot run at all is not expressed rather than wrong.

- One medium and one curation for all experiments on a model: `culture`, or `physiological` for the embedded
  core, which was built on it, with its extension. An experiment adds what its paper adds to the medium, blocks what
  it inhibits or lacks, and inserts its enzymes with unlimited capacity. Growth is the largest flux of the biomass
  reaction, 0 where maintenance cannot be met.
- A rescue is judged only where there is something to rescue: the defect alone must take at least 10 % of the growth
  of the intact cell on the same medium. Rescued (`S`) is at least 10 % of the lost growth won back, not rescued (`0`)
  less than 1 %; anything between is neither, and wrong either way.
- A flux is predicted where its minimum at 99 % of the largest growth is above 0 in a cell that grows; a flux that is
  only possible is not.
- An oxidase is selective where it takes electrons from an outside source of NADPH, and none from one of NADH in the
  same compartment, in a cell that gets nothing but oxygen, water and protons and whose respiratory chain is closed.
- The loss of one enzyme hurts more without another if it takes a share of growth that is larger by 10 percentage
  points there.
- An experiment is right if a model can express all of its comparisons and each comes out as expected. It is wrong if
  one does not, and partly expressed if those that the model can express are right. What cannot be expressed is named
  with the reason and never counts as right: the model lacks a reaction, a metabolite or a supplement, or the flux
  cannot run in the direction in question in the intact cell, whatever it grows like.
- Comparisons in which the experiment changes NADH/NAD+ rather than a balance are marked: stoichiometry has no ratio.
  They are scored like all others.
"""

from enum import StrEnum
from typing import NamedTuple

from redox_balancer.design.diagnosis import NOT_REDOX, REDOX

DEFECT = 0.10  # least share of growth that a defect takes, of the intact cell's growth
HELD_GROWTH = 0.99  # share of the largest growth at which fluxes are minimised
ZERO = 1e-6  # flux (mmol/gDW/h) or growth (1/h) up to which it counts as 0: the precision of a linear program


class Finding(StrEnum):
    """What a comparison shows, as expected or as predicted."""

    RESCUED = "S"
    NOT_RESCUED = "0"
    FLUX = "flux"
    SELECTIVE = "selective"
    WORSE = "worse"  # the loss of an enzyme takes more growth in the other cell
    NEITHER = "neither"
    NO_DEFECT = "no defect"  # there is nothing to rescue
    NO_GROWTH = "no growth"  # a cell that does not grow has no flux to be judged


class Verdict(NamedTuple):
    """What a network predicts, and what decided it: a share of growth or a flux; nan where nothing did."""

    finding: Finding
    decisive: float


def of_rescue(intact: float, defect: float, treated: float) -> Verdict:
    """Judge a treatment by growth, 1/h: of the intact cell, with the defect, and with defect and treatment."""
    lost = intact - defect
    if lost < DEFECT * intact or intact <= ZERO:
        return Verdict(Finding.NO_DEFECT, float("nan"))
    share = (treated - defect) / lost
    if share >= REDOX:
        return Verdict(Finding.RESCUED, share)
    return Verdict(Finding.NOT_RESCUED if share < NOT_REDOX else Finding.NEITHER, share)


def of_flux(growth: float, least: float) -> Verdict:
    """Judge a flux by its minimum at `HELD_GROWTH`, mmol/gDW/h, in a cell of this growth, 1/h."""
    if growth <= ZERO:
        return Verdict(Finding.NO_GROWTH, least)
    return Verdict(Finding.FLUX if least > ZERO else Finding.NEITHER, least)


def of_selectivity(wanted: float, other: float) -> Verdict:
    """Judge an oxidase by the largest flux it draws from the cofactor it wants and from the other, mmol/gDW/h."""
    return Verdict(Finding.SELECTIVE if wanted > ZERO >= other else Finding.NEITHER, other)


def of_losses(intact: float, lost: float, background: float, both: float) -> Verdict:
    """Judge whether a loss hurts more in a background, by growth, 1/h.

    `intact` and `lost` are without the background defect, `background` and `both` with it.
    """
    if min(intact, background) <= ZERO:
        return Verdict(Finding.NO_GROWTH, float("nan"))
    more = (1 - both / background) - (1 - lost / intact)
    return Verdict(Finding.WORSE if more >= DEFECT else Finding.NEITHER, more)
