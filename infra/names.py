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
BACKUP_TAG = f"{DASHED}redox:backup"  # on resources that are backed up; its value selects the schedule
ROOT_DEVICE = "/dev/sda1"  # Ubuntu's
# Auto-scaling groups: of the one host, which operations and the host itself scale, and of its workers.
HOST_GROUP, WORKERS_GROUP = f"{DASHED}redox-host", f"{DASHED}redox-workers"
AMI_ID = "ami_id"  # context of the CDK: an image to restore from, instead of the settings'
BUDGET_TAG = "budget_tag"  # context of the CDK: the tag that the budget counts, active as a cost-allocation tag
LOG_GROUP = f"/{DASHED}redox-training/host"
IMAGE_BUILD = f"{DASHED}redox-image"  # project of CodeBuild
IMAGE_SOURCE = "machine/image-source.zip"  # in the bucket: what it builds
METRICS = "redox_balancer"  # namespace of the host's own metrics
AGENT_CONFIG = "/etc/redox/cloudwatch.json"
