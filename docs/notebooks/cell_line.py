# %% [markdown]
# # A cell line of your own
#
# A cell line is a table of exchange rates that you measured in culture, in mmol/gDW/h: uptake negative, release
# positive. An empty cell was not measured. The rates below are of the size that cancer cells have ([Jain et al.
# 2012](https://doi.org/10.1126/science.1218595)), but made up: replace them with yours.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import redox_balancer as rb

folder = Path(tempfile.mkdtemp())  # or a folder of yours
(folder / "lines.csv").write_text("""\
exchange,patient,control
EX_glc__D_e,-0.51,-0.62
EX_lac__L_e,0.88,0.71
EX_o2_e,-0.40,
growth,0.021,0.025
""")
task = rb.Task(cells_file=folder / "lines.csv", cells=["patient", "control"], placements=2)

# %% [markdown]
# The rates are limits: what was taken up may be taken up to the measured rate and 10 % more. What a line releases
# for each glucose is a first hint: two lactate per glucose are fermentation alone, which is redox-neutral; less
# means that pyruvate and NADH go elsewhere, such as to respiration.

# %%
for line, lactate, glucose in (("patient", 0.88, 0.51), ("control", 0.71, 0.62)):
    print(f"{line}: {lactate / glucose:.2f} lactate per glucose")

# %% [markdown]
# ## Does the line suffer?

# %%
conditions = ["healthy", "complex_i_closed", "complex_iii_closed"]
found = rb.diagnose(task.model_copy(update={"conditions": conditions}))
print(found)

# %%
growth = {diagnosis.condition: diagnosis.growth for diagnosis in found}
figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
axes.barh(list(growth), list(growth.values()))
axes.invert_yaxis()
axes.set_xlabel("growth (1/h)")
plt.show()

# %% [markdown]
# ## One construct for each line
#
# A condition in a line is named `line+condition`.

# %%
for condition in ("patient+complex_iii_closed", "control+complex_iii_closed"):
    print(rb.search(task, condition, method="greedy"))

# %% [markdown]
# Measured rates bound what a construct can do: it cannot oxidise NADH with oxygen that the line never took up.
#
# ## Next
#
# - `redox design --cells-file lines.csv --cell patient --condition complex_iii_closed` does the same on the command
#   line.
# - Eight lines of the NCI-60 are in the package (`rb.Task(cells=["HT29"])`), and [cell lines](../cell_lines.html)
#   says what the rates can and cannot tell.
# - The core has 164 reactions. For amino acids that it cannot break down take [Recon3D](../recon3d.html).
