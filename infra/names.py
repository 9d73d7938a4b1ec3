"""Names that several parts share, and whoever looks after a deployment."""

from __future__ import annotations

STORAGE, TRAINING = "RedoxStorage", "RedoxTraining"  # the stacks
HOST = "TrainingHost"  # logical id of the host in its stack
BACKUP_TAG = "redox:backup"  # on what the lifecycle manager copies; its value says which schedule
ROOT_DEVICE, DATA_DEVICE = "/dev/sda1", "/dev/sdf"  # of the host: Ubuntu's, and ours
WORKERS_GROUP = "redox-workers"  # the host asks for workers by it
AMI_ID = "ami_id"  # context of the CDK: an image to restore from, in place of the settings'
LOG, LOG_GROUP = "/var/log/redox.log", "/redox-training/host"
METRICS = "redox_balancer"  # namespace of the host's own metrics
AGENT_CONFIG = "/etc/redox/cloudwatch.json"
