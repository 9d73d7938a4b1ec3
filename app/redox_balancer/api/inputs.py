"""What a task is made from: a metabolic model and an enzyme library."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from redox_balancer.cell import models
from redox_balancer.cell.curation import curate_model
from redox_balancer.cell.embedded import core_json
from redox_balancer.design.enzymes import Enzyme
from redox_balancer.design.enzymes import load_library as read_library
from redox_balancer.design.settings import EMBEDDED
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    import cobra
    import pandas as pd


def load_model(source: str | Path | None = None, *, as_published: bool = False) -> "cobra.Model":
    """Load a metabolic model.

    Parameters
    ----------
    source
        A file: JSON, SBML, MAT or YAML, plain or compressed with gzip, bzip2, xz or zip. None or `"embedded"` is the
        embedded human redox core.
    as_published
        Leave out the curation that the package has for a model, such as Recon3D; `model.notes` names one.

    Returns
    -------
    cobra.Model
        The model, curated, with known faults of published models repaired. `Task` accepts it, changed or not.

    Raises
    ------
    RedoxError
        The file is missing, damaged, of an unknown format or not a metabolic model.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> model = rb.load_model("embedded")
    >>> len(model.reactions)
    164
    >>> model.reactions.EX_o2_e.lower_bound = -0.1
    >>> rb.evaluate(rb.Task(model=model, conditions="healthy"), "LBNOX_c 0.1 %").growth_without < 0.084
    True
    """
    if source is None or source == EMBEDDED:
        return models.load_model(core_json()).model
    if not isinstance(source, str | os.PathLike):
        raise RedoxError(
            f"a model file is expected, not an object of type {type(source).__name__}",
            hint="a Task takes a cobra.Model as it is",
        )
    loaded = models.load_model(Path(source))
    if as_published or not loaded.model.reactions:
        return loaded.model
    found = loaded.curated(loaded.model.reactions[0].id)  # which one grows does not matter here
    return curate_model(loaded.model, found)


def require_task(value: object) -> Task:
    """The value itself where it is a task; a RedoxError with one line where it is something else."""
    if isinstance(value, Task):
        return value
    raise RedoxError(
        f"a Task is expected, not an object of type {type(value).__name__}",
        hint="Task(model=...) takes a model or its file, and the task of a run is its attribute `task`",
    )


class EnzymeLibrary(dict[str, Enzyme]):
    """Enzymes by id; `to_frame` shows them as a table.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> library = rb.load_library()
    >>> library["LBNOX"].ec
    '1.6.3.4'
    >>> library["LBNOX"].kcat_per_s.value
    648.0
    """

    def __repr__(self) -> str:
        return f"EnzymeLibrary of {len(self)} enzymes: {', '.join(self)}"

    def to_frame(self) -> "pd.DataFrame":
        """Table of the enzymes, by id: kcat in 1/s, mass in kDa, KM in mM, compartments they can be placed in."""
        import pandas as pd  # noqa: PLC0415 - half a second

        return pd.DataFrame(
            {
                "name": enzyme.name,
                "ec": enzyme.ec,
                "organism": enzyme.organism,
                "role": enzyme.role.value,
                "membrane": enzyme.membrane,
                "kcat_per_s": enzyme.kcat_per_s.value,
                "mass_kda": enzyme.mass_kda.value,
                "km_mm": enzyme.km_mm.value if enzyme.km_mm else None,
                "compartments": "".join(site.compartment for site in enzyme.sites),
            }
            for enzyme in self.values()
        ).set_index(pd.Index(self, name="enzyme"))


def load_library(path: str | Path | None = None) -> EnzymeLibrary:
    """Load an enzyme library.

    Parameters
    ----------
    path
        A TOML file, as `Task(enzymes=...)` takes it; None for the library of the package.

    Raises
    ------
    RedoxError
        The file is missing, or an entry does not fit the schema.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> rb.load_library().to_frame().loc[["LBNOX", "AOX"], ["kcat_per_s", "mass_kda", "membrane", "compartments"]]
            kcat_per_s  mass_kda  membrane compartments
    enzyme
    LBNOX        648.0      49.0     False          cmx
    AOX          200.0      42.0      True            m
    """
    return EnzymeLibrary(read_library(None if path is None else Path(path)))
