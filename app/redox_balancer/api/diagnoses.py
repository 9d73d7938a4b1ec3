"""Diagnoses: whether a cell's trouble is redox, and where."""

from typing import TYPE_CHECKING

from redox_balancer.api.inputs import require_task
from redox_balancer.design.diagnosis import AMOUNTS, KINDS, Diagnosis
from redox_balancer.design.named_construct import ConstructLike
from redox_balancer.design.pressure import diagnose as diagnoses_of
from redox_balancer.design.ratio_diagnosis import RatioDiagnosis, cells_of_task
from redox_balancer.design.ratio_diagnosis import diagnose_ratios as ratios_of_cells
from redox_balancer.design.task import Task

if TYPE_CHECKING:
    import pandas as pd

    from redox_balancer.drawing import Drawing


class Diagnoses(tuple[Diagnosis, ...]):
    """Diagnoses of a cell under several conditions, as a sequence, a text, a table and a drawing.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> found = rb.diagnose(rb.Task(conditions="complex_i_closed,mdh1_deficiency"))
    >>> [diagnosis.trouble.name for diagnosis in found]
    ['SURPLUS', 'NONE']
    >>> found.to_frame().loc[("complex_i_closed", "nadh_m"), ["acceptor_slope", "acceptor_1.0", "donor_1.0"]].round(5)
    acceptor_slope    0.01639
    acceptor_1.0      0.00673
    donor_1.0         0.00000
    Name: (complex_i_closed, nadh_m), dtype: float64
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def to_frame(self) -> "pd.DataFrame":
        """Table by condition and pool: slope (1/h per mmol/gDW/h) and gains (1/h) of each outside reaction."""
        import pandas as pd  # noqa: PLC0415 - half a second

        rows = {
            (diagnosis.condition, pressure.pool): {
                f"{kind}_{name}": value
                for kind in KINDS
                if (effect := getattr(pressure, kind))
                for name, value in zip(("slope", *AMOUNTS), (effect.slope, *effect.gains), strict=True)
            }
            for diagnosis in self
            for pressure in diagnosis.pressures
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["condition", "pool"])

    def drawing(self) -> "Drawing":
        """Heat map of the gains over conditions and pools; its methods `svg` and `png` give the file's content."""
        from redox_balancer.design.figures import pressure_map  # noqa: PLC0415 - loads Matplotlib

        return pressure_map(self)


class RatioDiagnoses(tuple[RatioDiagnosis, ...]):
    """Ratios of NAD+ to NADH under several conditions, as a sequence, a text, a table and a drawing.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> culture = "lac__L_c=5e-3:2e-2,pyr_c=5e-5:3e-4"
    >>> task = rb.Task(conditions="complex_i_closed", concentrations=culture)
    >>> found = rb.diagnose_ratios(task, "LBNOX_c 0.3 %")
    >>> found.to_frame()["ratio"].xs("nad_c/nadh_c", level="ratio").round()
    condition
    complex_i_closed                      68.0
    complex_i_closed + LBNOX_c 0.3 %     220.0
    Name: ratio, dtype: float64
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def to_frame(self) -> "pd.DataFrame":
        """Table by condition and ratio: r* (`ratio`), its window, and largest growth at any ratio (1/h)."""
        import pandas as pd  # noqa: PLC0415 - half a second

        rows = {(one.condition, name): row for one in self for name, row in one.data()["largest_growth"].items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["condition", "ratio"])

    def drawing(self) -> "Drawing":
        """Growth against each ratio; its methods `svg` and `png` give the file's content."""
        from redox_balancer.design.figures import ratio_curves  # noqa: PLC0415 - loads Matplotlib

        return ratio_curves(self)


def diagnose_ratios(task: Task, construct: ConstructLike | None = None, *, draws: int = 0) -> RatioDiagnoses:
    """Find the ratios of NAD+ to NADH at which a cell grows best, without and with a construct.

    Parameters
    ----------
    task
        The cell, its conditions, and concentrations.
    construct
        See `NamedConstruct`; each condition is followed by the same with it.
    draws
        How often energies are drawn from their uncertainty, for the intervals in `RatioDiagnosis.data`.

    Raises
    ------
    RedoxError
        The model has no NAD+ with NADH, or a concentration, a placement or the construct cannot be read.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> print(rb.diagnose_ratios(rb.Task(conditions="hypoxia,complex_iii_closed")))
    hypoxia: growth 0.0347 1/h, driving force 2.46 kJ/mol
        nad_c/nadh_c 12 to 4,200, r* 220
        nad_m/nadh_m 0.55 to 36, r* 4.4
    complex_iii_closed: no growth, and so no ratio
    """
    return RatioDiagnoses(ratios_of_cells(**cells_of_task(require_task(task), construct), draws=draws, curves=True))


def diagnose(task: Task) -> Diagnoses:
    """Find out whether a cell's trouble is redox at all, and in which compartment.

    Growth is computed with outside reactions that take electrons from NADH, NADPH or ubiquinol of one compartment, by
    an acceptor from outside or by the cell's own oxygen, or that give electrons to them.

    Parameters
    ----------
    task
        The cell and its conditions; what can be built into it plays no part.

    Raises
    ------
    RedoxError
        The cell does not grow, or has no NADH, NADPH or ubiquinol that is known by its BiGG name.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> print(rb.diagnose(rb.Task(conditions="healthy,complex_iii_closed,pdh_deficiency")))
    healthy: growth 0.0844 1/h; not redox: no acceptor or donor of electrons changes growth by 1%
    complex_iii_closed: no growth; redox: surplus of electrons at ubiquinol (mitochondria) 44%
        (won back by 1 mmol/gDW/h of an acceptor, by the cell's own oxygen 44%)
    pdh_deficiency: growth 0.0162 1/h, 80.8% lost; not redox: no acceptor or donor of electrons changes growth by 1%
    """
    return Diagnoses(diagnoses_of(require_task(task).space({})))
