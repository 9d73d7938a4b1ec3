# %% [markdown]
# # Which cells suffer from reductive stress
#
# Not every sick cell has a redox problem. The diagnosis adds a little of an electron acceptor or donor from outside
# to each pool (NADH and NADPH of cytosol and mitochondria, ubiquinol) and asks whether growth comes back, as
# pyruvate or α-ketobutyrate do for cells without a respiratory chain ([Sullivan et al.
# 2015](https://doi.org/10.1016/j.cell.2015.07.017)).

# %%
import redox_balancer as rb

found = rb.diagnose(rb.Task())
print(found)

# %% [markdown]
# Lacking pyruvate dehydrogenase or cytosolic malate dehydrogenase costs most of the growth, and no acceptor brings
# it back: these cells lack carbon in the right place, not NAD⁺.
#
# ## Where the electrons are stuck
#
# Each row is a condition, each column a pool.

# %%
found.drawing()

# %% [markdown]
# Cytosol and matrix are different places: NADH does not cross the inner membrane. Without glycerol-3-phosphate
# dehydrogenase (*GPD2*) the surplus is in the cytosol, without complex I in the matrix, and so the enzyme that helps
# has to be put there ([Titov et al. 2016](https://doi.org/10.1126/science.aad4017) targeted LbNOX to either).

# %%
conditions = ["gpd2_deficiency", "complex_i_closed", "complex_iii_closed", "pdh_deficiency"]
table = rb.evaluate_all(
    rb.Task(conditions=conditions, reward="rescue"), ["LBNOX_c 0.1 %", "LBNOX_m 0.1 %"]
).to_frame()
rescue = table.pivot(index="condition", columns="construct", values="rescue").loc[conditions]
axes = rescue.plot.barh(figsize=(6, 2.6))
axes.invert_yaxis()
axes.set(xlabel="share of healthy growth that is restored", ylabel="")
axes.legend(frameon=False)
rescue.round(3)

# %% [markdown]
# ## The ratio itself
#
# Reaction energies and measured concentrations bound NAD⁺/NADH of each compartment in a growing cell. In rat liver
# 700 was measured in the cytosol and 8 in the matrix ([Williamson et al. 1967](https://doi.org/10.1042/bj1030514)).

# %%
print(rb.diagnose_ratios(rb.Task(conditions="healthy,complex_i_closed")))

# %% [markdown]
# ## Next
#
# - [A first design](first_design.html) for the cells whose trouble is redox; [your own cell line](cell_line.html)
#   for the same questions with your rates.
# - What stoichiometry cannot tell, because it knows no concentrations, is in [ratio](../ratio.html); what the models
#   get right and wrong in [experiments](../experiments.html).
