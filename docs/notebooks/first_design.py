# %% [markdown]
# # A first design
#
# Without complex III (antimycin, or a mutation of *MT-CYB*) a cell cannot hand electrons from ubiquinol on to
# oxygen. NADH is no longer oxidised, and what needs NAD⁺ stops: aspartate and with it nucleotides ([Birsoy et al.
# 2015](https://doi.org/10.1016/j.cell.2015.07.016), [Sullivan et al.
# 2015](https://doi.org/10.1016/j.cell.2015.07.017)). Which enzyme, in which compartment and how much of it, helps
# most?
#
# The cell here is the embedded core, 164 reactions of human metabolism; growth and capacity are optima of linear
# programs.

# %%
import matplotlib.pyplot as plt

import redox_balancer as rb

task = rb.Task(placements=2)
CONDITION = "complex_iii_closed"
print(rb.diagnose(rb.Task(conditions=CONDITION)))

# %% [markdown]
# The surplus of electrons is at ubiquinol: two placements suggest themselves. *LbNOX*, a bacterial NADH oxidase,
# burns NADH with oxygen to water ([Titov et al. 2016](https://doi.org/10.1126/science.aad4017)); the alternative
# oxidase *AOX* of a tunicate takes electrons from ubiquinol past complexes III and IV ([Dassa et al.
# 2009](https://doi.org/10.1002/emmm.200900001)). A percentage is the share of the cell's protein.

# %%
table = rb.evaluate_all(
    task, ["LBNOX_c 0.1 %", "LBNOX_m 0.1 %", "AOX_m 0.03 %", "LBNOX_c 0.1 % + AOX_m 0.03 %"], CONDITION
).to_frame()
table[["construct", "value", "growth", "capacity", "protein"]].round(4)

# %% [markdown]
# *value* counts two things: the NAD(P)H that the construct can oxidise, in units of the healthy cell's respiration,
# and the share of healthy growth that it restores. Both together are worth more than either.
#
# ## Let the search choose
#
# The search goes through all enzymes of the library, compartments and amounts within the protein budget, and says
# whether a better construct is ruled out.

# %%
best = rb.design(task, CONDITION, seconds=2)
print(best)
print(best.proof)

# %% [markdown]
# ## What the cell does with it
#
# The construct is analysed in the whole model. The map shows the fluxes at largest growth; inserted enzymes
# are orange.

# %%
mine = rb.design(task, CONDITION, construct="LBNOX_c 0.1 % + AOX_m 0.03 %")
rb.redox_map(mine)

# %% [markdown]
# How much NAD(P)H the construct oxidises depends on how fast the cell grows: between the two lines the cell is free
# to choose. At its largest growth even the smallest use is above zero, so selection for growth keeps the enzymes at
# work.

# %%
envelope = mine.analysis.envelope
figure, axes = plt.subplots(figsize=(5, 2.6), layout="constrained")
axes.fill_between(envelope.growth, envelope.smallest, envelope.largest, alpha=0.2)
axes.plot(envelope.growth, envelope.smallest, label="smallest")
axes.plot(envelope.growth, envelope.largest, label="largest")
axes.set(xlabel="growth (1/h)", ylabel="NAD(P)H oxidised\n(mmol/gDW/h)")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Next
#
# - `rb.export(mine, "designs/rescue")` writes the model with the construct as SBML and JSON, with tables and
#   sources: [designs](../designs.html).
# - Does *your* cell suffer from this at all? [Which cells suffer from reductive stress](reductive_stress.html), and
#   [a cell line of your own](cell_line.html).
# - The amounts are predictions from stoichiometry and turnover numbers, some of which are assumed: see what
#   [experiments](../experiments.html) the models get right.
