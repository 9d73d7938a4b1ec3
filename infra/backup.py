"""Scheduled images of the host, with retention."""

from aws_cdk import CfnTag
from aws_cdk import aws_dlm as dlm
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.names import BACKUP_TAG
from infra.settings import Settings

MANAGED = "service-role/AWSDataLifecycleManagerServiceRoleForAMIManagement"


class BackupSchedule(Construct):
    """A policy of Data Lifecycle Manager, with AWS's managed role."""

    def __init__(self, scope: Construct, name: str, *, settings: Settings) -> None:
        super().__init__(scope, name)
        backup = settings.backup
        schedule = dlm.CfnLifecyclePolicy.ScheduleProperty(
            name=f"every {backup.image_hours} h keep {backup.images_kept}",
            create_rule=dlm.CfnLifecyclePolicy.CreateRuleProperty(
                interval=backup.image_hours, interval_unit="HOURS", times=[backup.start_utc]
            ),
            retain_rule=dlm.CfnLifecyclePolicy.RetainRuleProperty(count=backup.images_kept),
            copy_tags=True,  # restore finds the newest image by them
        )
        role = iam.Role(
            self,
            "ImagesRole",
            assumed_by=iam.ServicePrincipal("dlm.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(MANAGED)],
        )
        dlm.CfnLifecyclePolicy(
            self,
            "Images",
            description="Images of the training host",
            state="ENABLED",
            execution_role_arn=role.role_arn,
            policy_details=dlm.CfnLifecyclePolicy.PolicyDetailsProperty(
                policy_type="IMAGE_MANAGEMENT",
                resource_types=["INSTANCE"],
                target_tags=[CfnTag(key=BACKUP_TAG, value="host")],
                # A reboot would end the training; its data is in the bucket.
                parameters=dlm.CfnLifecyclePolicy.ParametersProperty(no_reboot=True),
                schedules=[schedule],
            ),
            tags=[CfnTag(key=key, value=value) for key, value in settings.tags.items()],
        )
