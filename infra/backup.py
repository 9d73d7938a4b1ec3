"""Scheduled images of the host and snapshots of its volume, with retention."""

from typing import Any

from aws_cdk import CfnTag
from aws_cdk import aws_dlm as dlm
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.names import BACKUP_TAG
from infra.settings import Settings

MANAGED = "service-role/AWSDataLifecycleManagerServiceRole"


class BackupSchedules(Construct):
    """Two policies of Data Lifecycle Manager, each with AWS's managed role."""

    def __init__(self, scope: Construct, name: str, *, settings: Settings) -> None:
        super().__init__(scope, name)
        backup, tags = settings.backup, settings.tags
        self._policy(
            "Images",
            tags,
            role=MANAGED + "ForAMIManagement",
            description="Images of the training host",
            policy_type="IMAGE_MANAGEMENT",
            resource_types=["INSTANCE"],
            target_tags=[CfnTag(key=BACKUP_TAG, value="host")],
            # A reboot would end the training; its data is in the bucket and in the snapshots.
            parameters=dlm.CfnLifecyclePolicy.ParametersProperty(no_reboot=True),
            schedules=[_schedule(backup.image_hours, backup.images_kept, backup.start_utc)],
        )
        self._policy(
            "Snapshots",
            tags,
            role=MANAGED,
            description="Snapshots of the data volume",
            policy_type="EBS_SNAPSHOT_MANAGEMENT",
            resource_types=["VOLUME"],
            target_tags=[CfnTag(key=BACKUP_TAG, value="data")],
            schedules=[_schedule(backup.snapshot_hours, backup.snapshots_kept, backup.start_utc)],
        )

    def _policy(self, name: str, tags: Any, *, role: str, description: str, **details: Any) -> None:
        dlm.CfnLifecyclePolicy(
            self,
            name,
            description=description,
            state="ENABLED",
            execution_role_arn=iam.Role(
                self,
                f"{name}Role",
                assumed_by=iam.ServicePrincipal("dlm.amazonaws.com"),
                managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(role)],
            ).role_arn,
            policy_details=dlm.CfnLifecyclePolicy.PolicyDetailsProperty(**details),
            tags=[CfnTag(key=key, value=value) for key, value in tags.items()],
        )


def _schedule(hours: int, kept: int, start_utc: str) -> dlm.CfnLifecyclePolicy.ScheduleProperty:
    return dlm.CfnLifecyclePolicy.ScheduleProperty(
        name=f"every {hours} h keep {kept}",
        create_rule=dlm.CfnLifecyclePolicy.CreateRuleProperty(
            interval=hours, interval_unit="HOURS", times=[start_utc]
        ),
        retain_rule=dlm.CfnLifecyclePolicy.RetainRuleProperty(count=kept),
        copy_tags=True,  # restore finds the newest image by them
    )
