"""Names that the stacks, the host and operations share; `names.prefix` of the settings distinguishes deployments."""

import tomllib

from infra.settings import FILE


def _prefix() -> str:
    """Return the prefix, empty where the settings are not valid, which `infra.settings.load` reports."""
    try:
        return str(tomllib.loads(FILE.read_text(encoding="utf-8"))["names"]["prefix"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


PREFIX = _prefix()
DASHED = f"{PREFIX.lower()}-" if PREFIX else ""  # for names in lower case
STORAGE, TRAINING = f"{PREFIX}RedoxStorage", f"{PREFIX}RedoxTraining"  # the stacks
HOST = "TrainingHost"  # logical id of the host in its stack
BACKUP_TAG = f"{DASHED}redox:backup"  # on resources that are backed up; its value selects the schedule
ROOT_DEVICE, DATA_DEVICE = "/dev/sda1", "/dev/sdf"  # Ubuntu's, and the data volume's
WORKERS_GROUP = f"{DASHED}redox-workers"  # the host scales it
AMI_ID = "ami_id"  # context of the CDK: an image to restore from, instead of the settings'
BUDGET_TAG = "budget_tag"  # context of the CDK: the tag that the budget counts, active as a cost-allocation tag
LOG, LOG_GROUP = "/var/log/redox.log", f"/{DASHED}redox-training/host"
METRICS = "redox_balancer"  # namespace of the host's own metrics
AGENT_CONFIG = "/etc/redox/cloudwatch.json"
