"""Two deployments in one account: with a prefix, no name of one is a name of the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import stacks
from infra.settings import FILE, ROOT
from ops.simulator.aws import stand_in
from templates import CONTEXT, Templates, synthesise


def with_prefix(folder: Path) -> Templates:
    """Synthesise in a process of its own, in which all names have the prefix."""
    settings = folder / "deploy.toml"
    settings.write_text(FILE.read_text().replace('prefix = ""', 'prefix = "Lab"'))
    environment = {
        "REDOX_SETTINGS": str(settings),
        "CDK_OUTDIR": str(folder),
        "CDK_CONTEXT_JSON": json.dumps(CONTEXT),
    }
    command = [sys.executable, "-m", "infra"]
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, capture_output=True)
    storage, training = (
        json.loads((folder / f"LabRedox{name}.template.json").read_text()) for name in ("Storage", "Training")
    )
    return Templates(storage, training, folder)


def test_two_deployments_share_no_name(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    ours, labs = synthesise(tmp_path / "ours", []), with_prefix(tmp_path / "lab")
    with stand_in(tmp_path) as aws:
        stacks.create(aws, ours)
        stacks.create(aws, labs, prefix="Lab")  # a name that exists is an error
        buckets = [each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]]
        repositories = [each["repositoryName"] for each in aws.client("ecr").describe_repositories()["repositories"]]
        logs = [each["logGroupName"] for each in aws.client("logs").describe_log_groups()["logGroups"]]
        for names in (buckets, repositories, logs):
            assert len(set(names)) == 2
            assert sum("lab-redox" in name for name in names) == 1
        # Nor does one restore a backup of the other.
        assert labs.one("AWS::Lambda::Function")["Environment"]["Variables"]["TAG"] == "lab-redox:backup"
    assert labs.one("AWS::Budgets::Budget")["Budget"]["BudgetName"] == "LabRedoxTraining-monthly"
