"""The build of images in the cloud (CodeBuild), for people without an engine for x86-64; its own billed minutes."""

from aws_cdk import Duration
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.names import IMAGE_BUILD, IMAGE_SOURCE

TIMEOUT = Duration.minutes(60)
SMOKE_S = 30
# What `make image` does on a user's machine. The build has no .git: what make reads there is in variables. Of .venv,
# `make image` needs pip alone.
MAKE = 'make -o .venv/installed REVISION="$REVISION" DIRTY="$DIRTY" COMMIT_TIME="$COMMIT_TIME"'
COMMANDS = (
    "set -euo pipefail",
    "python3 -m venv .venv",
    f"{MAKE} image",
    f'image=$({MAKE} --silent image-name); target="$REPOSITORY:${{image##*:}}"',
    # Unquoted: the flags are words.
    f'docker run --rm --network=none $(python3 -m infra.container) "$image" smoke {SMOKE_S}',
    'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"',
    'docker tag "$image" "$target"',
    'docker push "$target"',
)
BUILDSPEC = {
    "version": "0.2",
    "env": {"shell": "bash"},
    "phases": {
        # https://docs.aws.amazon.com/codebuild/latest/userguide/available-runtimes.html
        "install": {"runtime-versions": {"python": "3.11"}},
        "build": {"commands": ["\n".join(COMMANDS)]},
    },
}


class ImageBuild(codebuild.Project):
    """A project that builds the source in the bucket, trains in the image for some seconds and pushes it."""

    def __init__(
        self, scope: Construct, name: str, *, bucket: s3.Bucket, repository: ecr.Repository, log_group: logs.ILogGroup
    ) -> None:
        super().__init__(
            scope,
            name,
            project_name=IMAGE_BUILD,
            role=_role(scope, f"{name}Role", bucket, repository, log_group).without_policy_updates(),
            source=codebuild.Source.s3(bucket=bucket, path=IMAGE_SOURCE),
            build_spec=codebuild.BuildSpec.from_object(BUILDSPEC),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxBuildImage.STANDARD_7_0,
                compute_type=codebuild.ComputeType.MEDIUM,
                privileged=True,  # for its Docker engine
            ),
            environment_variables={"REPOSITORY": codebuild.BuildEnvironmentVariable(value=repository.repository_uri)},
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group, prefix="image")
            ),
            timeout=TIMEOUT,
            grant_report_group_permissions=False,
        )


def _role(
    scope: Construct, name: str, bucket: s3.Bucket, repository: ecr.Repository, log_group: logs.ILogGroup
) -> iam.Role:
    """Return a role that reads the source, pushes and writes the log; the library's grants reach further.

    https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html
    """
    role = iam.Role(scope, name, assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com"))
    repository.grant_pull_push(role)
    for actions, resource in (
        (["s3:GetObject", "s3:GetObjectVersion"], bucket.arn_for_objects(IMAGE_SOURCE)),
        (["s3:GetBucketAcl", "s3:GetBucketLocation"], bucket.bucket_arn),
        (["logs:CreateLogStream", "logs:PutLogEvents"], log_group.log_group_arn),
    ):
        role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
    return role
