"""Functions of simulated AWS: events, schedules and topics call them, and their code runs with their role's rights.

moto runs code in containers alone, calls no function for an event, and reads no events of a bucket from a template.
"""

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from ops.simulator.permissions import FUNCTION
from ops.simulator.policies import Request, allowing
from ops.simulator.rules import broken, replace

SCHEDULED = "Scheduled Event"  # detail type of the events of a schedule
MAIN = "import json, sys, index; index.handler(json.load(sys.stdin), None)"
TIMEOUT_S = 120.0
SERVER = "REDOX_STAND_IN_ADDRESS"  # environment variable of the server itself, with its address


def add_functions() -> None:
    """Have events and topics call functions, and stacks connect them."""
    from moto.awslambda.models import LambdaBackend, lambda_backends  # noqa: PLC0415
    from moto.events.models import Rule  # noqa: PLC0415

    def send_to_targets(self: Any, event: dict[str, Any], transform_input: bool = True) -> None:  # noqa: FBT001, FBT002
        del transform_input
        scheduled = bool(
            self.scheduled_expression
        )  # without a pattern, which moto takes for one that fits everything
        called = self.arn in event["resources"] if scheduled else self.event_pattern.matches_event(event)
        for target in self.targets if called else []:
            given = event | {"time": dt.datetime.fromtimestamp(event["time"], dt.UTC).isoformat()}
            function = lambda_backends[self.account_id][self.region_name].get_function(target["Arn"])
            running = _start(function, given, service="events.amazonaws.com", source=self.arn)
            if event["detail-type"] == SCHEDULED:  # the time of a test
                running.join()

    def send_message(self: Any, function_name: str, message: str, **_: Any) -> None:
        function, event = self.get_function(function_name), {"Records": [{"Sns": {"Message": message}}]}
        topics = [each["Condition"]["ArnLike"]["AWS:SourceArn"] for each in function.policy.statements]
        source = next((each for each in topics if ":sns:" in each), "")  # moto does not say which topic it is
        _start(function, event, service="sns.amazonaws.com", source=source).join()

    replace(Rule, send_to_targets=send_to_targets)
    replace(LambdaBackend, send_sns_message=send_message)
    _stacks_connect_them()


def _start(function: Any, event: dict[str, Any], *, service: str, source: str) -> threading.Thread:
    """Call a function, as its own policy allows: https://docs.aws.amazon.com/lambda/latest/dg/permissions-source.html."""
    asked = Request("lambda:InvokeFunction", function.function_arn, {"AWS:SourceArn": source})
    if not allowing(function.policy.statements, asked, service=service):
        broken(f"{service} for {source} is not authorized to perform: {asked}")
    thread = threading.Thread(target=_run, args=(function, event), daemon=True)
    thread.start()
    return thread


def _run(function: Any, event: dict[str, Any]) -> None:
    """Run the code in a process of its own: like AWS, it finds a Python with boto3 and nothing of ours."""
    own = {"AWS_ENDPOINT_URL": os.environ[SERVER], "AWS_ACCESS_KEY_ID": FUNCTION, "AWS_SECRET_ACCESS_KEY": "stand-in"}
    environment = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": function.region, "NO_PROXY": "127.0.0.1"}
    with tempfile.TemporaryDirectory() as folder:
        (code := Path(folder, "code.zip")).write_bytes(function.code_bytes)
        answer = subprocess.run(  # noqa: S603 - our own
            [sys.executable, "-c", MAIN],
            cwd=folder,
            env=environment | own | function.environment_vars | {"PYTHONPATH": str(code)},
            input=json.dumps(event),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    if answer.returncode:
        broken(f"{function.function_name} failed: {answer.stderr.strip()[-2_000:]!r}")


def _stacks_connect_them() -> None:
    """A stack subscribes functions to topics, and has a bucket keep versions and send its events.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
    """
    from moto.cloudformation.models import Stack  # noqa: PLC0415
    from moto.cloudformation.parsing import clean_json  # noqa: PLC0415
    from moto.s3.models import s3_backends  # noqa: PLC0415
    from moto.sns.models import sns_backends  # noqa: PLC0415

    original = Stack.create_resources

    def as_aws_does(self: Any) -> None:
        original(self)
        for resource in self.template_dict["Resources"].values():
            if resource["Type"] not in ("AWS::SNS::Subscription", "AWS::S3::Bucket"):
                continue
            properties = clean_json(resource["Properties"], self.resource_map)
            if properties.get("Protocol") == "lambda":
                sns = sns_backends[self.account_id][self.region_name]
                sns.subscribe(properties["TopicArn"], properties["Endpoint"], "lambda")
            if resource["Type"] == "AWS::S3::Bucket" and "BucketName" in properties:
                bucket = s3_backends[self.account_id]["aws"].get_bucket(properties["BucketName"])
                bucket.versioning_status = properties.get("VersioningConfiguration", {}).get("Status")
                sends = properties.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
                if sends.get("EventBridgeEnabled"):
                    bucket.set_notification_configuration({"EventBridgeConfiguration": {}})

    replace(Stack, create_resources=as_aws_does)
