# %% [markdown]
# # Why learn at all?
#
# A construct that is best for one known condition is found by search in a tenth of a second, with proof. So what is
# a learnt policy for? This notebook trains a small one and compares it, on purpose in the case where search wins.

# %%
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt

import redox_balancer as rb

conditions = ["complex_i_closed", "complex_iii_closed", "gpd2_deficiency"]
task = rb.Task(conditions=conditions, placements=2, observation="flat")
folder = Path(tempfile.mkdtemp())  # or a folder of yours
run = rb.train(task, folder / "run", timesteps=12_000, num_actors=0, seed=1)

# %%
metrics = run.to_frame().dropna(subset=["return_mean"])
figure, axes = plt.subplots(figsize=(5, 2.4), layout="constrained")
axes.plot(metrics["steps"], metrics["return_mean"])
axes.set(xlabel="steps", ylabel="mean return")
plt.show()

# %% [markdown]
# An episode places one enzyme after another, and its return is the value of the construct. Twelve thousand steps are
# a tenth of what `make train` takes.
#
# ## Policy against search

# %%
rows = []
for condition in conditions:
    best = rb.search(task, condition, method="milp").value
    began = time.perf_counter()
    searched = rb.search(task, condition, method="local", seconds=0.2).value
    took = time.perf_counter() - began
    alone = rb.design(run, condition, evaluations=20).policy_alone
    rows.append((condition, alone[1] / best, searched / best, took))
for condition, alone, searched, took in rows:
    print(f"{condition:<20} policy alone {alone:6.1%} of the optimum, search {searched:6.1%} after {took:.1f} s")

# %% [markdown]
# ## When a policy is worth its training
#
# - **Many answers under uncertain kinetics.** Where a value is a mean over 64 sampled sets of kcat and KM, each
#   value takes 64 solves. There the policy's proposals halve the time to 95 % of the best (0.08 s in place of 0.16
#   s), which pays for its training after 2,000 answers.
# - **A condition that is hidden.** If the state of the cell has to be inferred from measurements, a policy answers
#   as well as a search on a belief that takes 80 times as long.
# - **Not for a single design in a known cell.** There a policy adds nothing to the search.
#
# [Evaluation](../evaluation.html) has these figures with their protocol, five seeds each.
#
# ## Next
#
# - Train on a hidden condition: `redox train --hidden-condition`; compare with `redox evaluate`.
# - What the agent sees and what it is paid for: [learning](../learning.html). On a larger machine: [a run on
#   AWS](aws.html).
