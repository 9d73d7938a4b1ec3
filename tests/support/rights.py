"""What operator and host may do and do not in the demo: each request, and what makes it (at last preflight)."""

from infra.names import IMAGE_BUILD, LOG_GROUP, METRICS
from infra.settings import load
from ops.simulator.permissions import ACCOUNT, HOST, OPERATOR, REGION
from ops.simulator.policies import Request

REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{load().container.image}"
STREAM = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{LOG_GROUP}:log-stream:training/demo"
PROJECT = f"arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{IMAGE_BUILD}"
BUILD_LOG = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{LOG_GROUP}:log-stream:image/id"
AGENT = {"cloudwatch:namespace": METRICS}

# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
PUSH = ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")
PULL = ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage")
# https://docs.docker.com/engine/logging/drivers/awslogs/; the second is the CloudWatch agent's.
LOG = ("CreateLogStream", "DescribeLogStreams", "PutLogEvents")

OF_OTHERS: dict[str, list[Request]] = {
    OPERATOR: [
        *(Request(f"codebuild:{each}", PROJECT) for each in ("StartBuild", "BatchGetBuilds", "StopBuild")),
        Request("logs:GetLogEvents", BUILD_LOG),
        *(Request(f"ecr:{each}", REPOSITORY) for each in (*PUSH, "BatchGetImage")),
        Request("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/cdk-bootstrap/hnb659fds/version"),
    ],
    HOST: [
        *(Request(f"logs:{each}", STREAM) for each in LOG),
        *(Request(f"ecr:{each}", REPOSITORY) for each in PULL),
        Request("ecr:GetAuthorizationToken", "*"),
        Request("cloudwatch:PutMetricData", "*", AGENT),
    ],
}
