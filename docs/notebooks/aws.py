# %% [markdown]
# # A run on AWS, planned
#
# Ten million steps on the embedded core take three minutes on two cores, so most runs need no cloud. A training on
# Recon3D with all cell lines does. This page makes no request to AWS: it reads the settings of the deployment and
# prints the plan.

# %%
import subprocess
import sys
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "deploy.toml").exists())


def show(*command):
    """Print what a command answers."""
    answer = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=True)
    print(answer.stdout)


# %% [markdown]
# ## What would be deployed
#
# `deploy.toml` holds every setting. The group of hosts is at 0 while nothing trains, so an idle deployment costs the
# storage of its checkpoints.

# %%
settings = tomllib.loads((ROOT / "deploy.toml").read_text())
price = settings["price"]["per_hour_usd"]
print("host:        ", ", ".join(settings["host"]["instance_types"]), f"{price} USD/h")
print("idle:        ", f"ends after {settings['host']['idle_minutes']} minutes without a training")

# %% [markdown]
# ## What a run costs
#
# A host is paid by the second, so a faster one is not dearer as long as its cores are in use. `redox advise`
# measures your task here and predicts steps per second of each host; below, the price of a night for this
# deployment.

# %%
hours = [0.5, 1, 2, 4, 8]
figure, axes = plt.subplots(figsize=(5, 2.4), layout="constrained")
axes.plot(hours, [price * each for each in hours], "o-")
axes.set(xlabel="hours of the host", ylabel="USD")
plt.show()

# %% [markdown]
# ## The acceptance test, as a dry run
#
# `make acceptance` tells the whole story on a real account with a small host: deploy, train, lose the host, see it
# replaced, fetch the checkpoints, remove everything. Its plan, with minutes and dollars:

# %%
show("ops", "acceptance", "--dry-run")

# %% [markdown]
# ## Next
#
# 1. `make preflight` says what is missing in your account, before anything is made.
# 2. `make demo` tells the same story on this machine, without an account, in a few minutes.
# 3. `make deploy`, then `make train-remote RUN=monday DRY_RUN=1`: [deployment](../deployment.html),
#    [operations](../operations.html).
