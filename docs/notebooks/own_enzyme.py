# %% [markdown]
# # Your own enzyme
#
# The library has 49 enzymes and transporters. Is a variant of yours better than those? An entry says what the enzyme
# does, how fast and how heavy it is, and where it may be put, and for each number where it comes from: *measured* on
# this protein, *proxy* of a related one, or *assumed*.

# %%
import tempfile
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt

import redox_balancer as rb

library = rb.load_library()
print(library["LBNOX"].kcat_per_s.value, "1/s:", library["LBNOX"].kcat_per_s.source)

# %% [markdown]
# The enzyme below is an example: a water-forming NADH oxidase (EC 1.6.3.4) with 300 turnovers per second in cytosol
# and matrix. Reactions are written in BiGG ids and have to balance. A file replaces the library of the package, so
# the entry is appended to a copy of it.

# %%
ENTRY = """
[[enzyme]]
id = "MYNOX"
name = "my NADH oxidase"
ec = "1.6.3.4"
organism = "an example"
role = "oxidase"
kcat_per_s = {{ value = {kcat}, confidence = "assumed", source = "an example" }}
mass_kda = {{ value = 49, confidence = "assumed", source = "an example" }}
sites = [
    {{ compartment = "c", reaction = "nadh_c + h_c + 0.5 o2_c --> nad_c + h2o_c" }},
    {{ compartment = "m", reaction = "nadh_m + h_m + 0.5 o2_m --> nad_m + h2o_m" }},
]
"""
folder = Path(tempfile.mkdtemp())  # or a folder of yours
packaged = (files("redox_balancer") / "data" / "enzymes.toml").read_text()


def with_enzyme(kcat):
    """A task whose library has the enzyme with this turnover number, 1/s."""
    path = folder / f"enzymes_{kcat}.toml"
    path.write_text(packaged + ENTRY.format(kcat=kcat))
    # By default an enzyme is left out that another one beats with less protein.
    return rb.Task(enzymes=path, candidates="all", conditions="complex_i_closed", placements=2)


task = with_enzyme(300)
print(rb.evaluate(task, "MYNOX_m 0.1 %", "complex_i_closed"))
print(rb.evaluate(task, "LBNOX_m 0.1 %", "complex_i_closed"))

# %% [markdown]
# ## How fast does it have to be?
#
# More turnover per protein is worth nothing once something else limits, here the NADH that the cell has to spare.

# %%
kcats = [10, 30, 100, 300, 1000]
values = [rb.evaluate(with_enzyme(kcat), "MYNOX_m 0.1 %", "complex_i_closed").value for kcat in kcats]
figure, axes = plt.subplots(figsize=(5, 2.6), layout="constrained")
axes.semilogx(kcats, values, "o-", label="MYNOX_m 0.1 %")
axes.axhline(rb.evaluate(task, "LBNOX_m 0.1 %", "complex_i_closed").value, linestyle=":", label="LBNOX_m 0.1 %")
axes.set(xlabel="turnover number (1/s)", ylabel="value")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Does a search take it?
#
# At 1,000 turnovers per second it is worth as much as LbNOX and no more, so the search takes either; at 300 it
# takes LbNOX.

# %%
for kcat in (300, 1000):
    print(kcat, rb.search(with_enzyme(kcat), "complex_i_closed", method="milp"))

# %% [markdown]
# ## Next
#
# - `redox enzymes --enzymes enzymes_300.toml` says of each placement whether it fits a model, and why not.
# - A measured KM (`km_mm`) and `--parameter-samples 64` ask how much the answer hangs on numbers that nobody
#   measured: [designs](../designs.html).
# - The whole schema, with a source for each number, is the packaged file itself.
