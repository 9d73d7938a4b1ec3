"""Names that the stacks, the host and operations share."""

STORAGE, TRAINING = "RedoxStorage", "RedoxTraining"  # the stacks
HOST = "TrainingHost"  # logical id of the host in its stack
BACKUP_TAG = "redox:backup"  # on resources that are backed up; its value selects the schedule
ROOT_DEVICE, DATA_DEVICE = "/dev/sda1", "/dev/sdf"  # Ubuntu's, and the data volume's
WORKERS_GROUP = "redox-workers"  # the host scales it
AMI_ID = "ami_id"  # context of the CDK: an image to restore from, instead of the settings'
BUDGET_TAG = "budget_tag"  # context of the CDK: the tag that the budget counts, active as a cost-allocation tag
LOG, LOG_GROUP = "/var/log/redox.log", "/redox-training/host"
METRICS = "redox_balancer"  # namespace of the host's own metrics
AGENT_CONFIG = "/etc/redox/cloudwatch.json"
