"""The resources that outlive every host: bucket, image repository and log, and the function that looks after them."""

from typing import Any

from aws_cdk import Aws, CfnOutput, CfnResource, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.cloud_build import ImageBuild
from infra.function import GuardFunction
from infra.names import DASHED, LOG_GROUP
from infra.settings import Settings
from infra.tables import ContainerSettings, StorageSettings

IMAGES_KEPT = 20  # in the repository: as many deliveries can be returned to


class RedoxStorage(Stack):
    """A stack of its own, so that destroying a host never touches data; its resources outlive even the stack."""

    def __init__(self, scope: Construct, name: str, *, settings: Settings, **options: Any) -> None:
        super().__init__(scope, name, description="redox_balancer: what outlives the host", **options)
        self.bucket = _bucket(self, settings.storage)
        self.repository = _repository(self, settings.container)
        self.log_group = logs.LogGroup(
            self,
            "Log",
            log_group_name=LOG_GROUP,
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.RETAIN,  # why a host failed is asked when it is gone
        )
        self.function = GuardFunction(self, "Guard", settings=settings, bucket=self.bucket, log_group=self.log_group)
        if settings.container.image_build == "cloud":
            ImageBuild(self, "ImageBuild", bucket=self.bucket, repository=self.repository, log_group=self.log_group)
        CfnOutput(self, "BucketName", value=self.bucket.bucket_name)
        CfnOutput(self, "RepositoryUri", value=self.repository.repository_uri)
        CfnOutput(self, "LogGroup", value=self.log_group.log_group_name)


def _bucket(scope: Construct, storage: StorageSettings) -> s3.Bucket:
    bucket = s3.Bucket(
        scope,
        "Bucket",
        bucket_name=DASHED + storage.bucket(Aws.ACCOUNT_ID, Stack.of(scope).region),
        versioned=True,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="overwritten-and-broken",
                noncurrent_version_expiration=Duration.days(storage.noncurrent_days),
                abort_incomplete_multipart_upload_after=Duration.days(storage.incomplete_upload_days),
            )
        ],
        removal_policy=RemovalPolicy.RETAIN,
    )
    if bucket.policy:  # without its stack, the bucket still requires TLS
        bucket.policy.apply_removal_policy(RemovalPolicy.RETAIN)
    resource = keep_logical_id(bucket, "CheckpointBucket")
    # The property itself: the library's `event_bridge_enabled` sets it by a function of its own.
    sends = "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled"
    resource.add_property_override(sends, value=True)
    return bucket


def _repository(scope: Construct, container: ContainerSettings) -> ecr.Repository:
    return ecr.Repository(
        scope,
        "Images",
        repository_name=DASHED + container.image,
        image_scan_on_push=True,
        # The image of a commit never changes; the current tag moves.
        image_tag_mutability=ecr.TagMutability.IMMUTABLE_WITH_EXCLUSION,
        image_tag_mutability_exclusion_filters=[
            ecr.ImageTagMutabilityExclusionFilter.wildcard(container.current_tag)
        ],
        lifecycle_rules=[ecr.LifecycleRule(max_image_count=IMAGES_KEPT)],
        removal_policy=RemovalPolicy.RETAIN,
    )


def keep_logical_id(construct: Construct, logical_id: str) -> CfnResource:
    """Pin the logical id of the resource behind a construct against changes of code and library, and return it.

    To CloudFormation, a new logical id is a new resource: an empty bucket.
    """
    resource = construct.node.default_child
    if not isinstance(resource, CfnResource):
        raise TypeError(f"{construct.node.path} is not one resource")
    resource.override_logical_id(logical_id)
    return resource
