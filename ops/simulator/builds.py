"""CodeBuild of simulated AWS: a build runs the commands of its project in the source from the bucket.

moto runs nothing, calls each build a success, and makes no project of a template. Commands find the programs of the
server's PATH: whoever starts it provides `docker` and `aws`.
"""

import inspect
import io
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
import zipfile
from typing import Any

from ops.simulator.functions import SERVER
from ops.simulator.permissions import BUILDER, REGION
from ops.simulator.rules import replace

_running: dict[str, subprocess.Popen[str]] = {}


def add_builds() -> None:
    """Have stacks make projects, and builds run."""
    from moto.cloudformation.models import Stack  # noqa: PLC0415
    from moto.cloudformation.parsing import clean_json  # noqa: PLC0415
    from moto.codebuild.models import CodeBuildBackend, codebuild_backends  # noqa: PLC0415
    from moto.codebuild.responses import CodeBuildResponse  # noqa: PLC0415

    create, start, stop = Stack.create_resources, CodeBuildResponse.start_build, CodeBuildBackend.stop_build

    def create_resources(self: Any) -> None:
        create(self)
        for resource in self.template_dict["Resources"].values():
            if resource["Type"] == "AWS::CodeBuild::Project":
                found = clean_json(resource["Properties"], self.resource_map)
                codebuild = codebuild_backends[self.account_id][self.region_name]
                asked = inspect.signature(codebuild.create_project).parameters
                given: dict[str, Any] = {
                    "project_name": found["Name"],
                    "project_source": found["Source"],
                    "artifacts": {"type": "NO_ARTIFACTS"},
                    "environment": found["Environment"],
                    "service_role": found["ServiceRole"],
                    "logs_config": found["LogsConfig"],
                }
                create_project: Any = codebuild.create_project
                create_project(**{name: given.get(name) for name in asked})

    def start_build(self: Any) -> Any:
        answer: Any = start(self)
        project: Any = self.codebuild_backend.codebuild_projects[self._get_param("projectName")]
        given = {each["name"]: each["value"] for each in self._get_param("environmentVariablesOverride") or []}
        started = (answer.result["build"], project.project_metadata, given)
        threading.Thread(target=_run, args=started, daemon=True).start()
        return answer

    def batch_get_builds(self: Any, ids: list[str]) -> list[dict[str, Any]]:
        return [each for found in self.build_metadata_history.values() for each in found if each["id"] in ids]

    def stop_build(self: Any, build_id: str) -> Any:
        if process := _running.pop(build_id, None):
            os.killpg(process.pid, signal.SIGKILL)
        build: Any = stop(self, build_id)
        build["buildComplete"] = True
        return build

    replace(Stack, create_resources=create_resources)
    replace(CodeBuildResponse, start_build=start_build)
    replace(CodeBuildBackend, batch_get_builds=batch_get_builds, stop_build=stop_build)


def _run(build: dict[str, Any], project: dict[str, Any], given: dict[str, str]) -> None:
    """Run a build to its end, with the rights of the project's role."""
    import boto3  # noqa: PLC0415 - needed by the server only

    own = {"AWS_ENDPOINT_URL": os.environ[SERVER], "AWS_ACCESS_KEY_ID": BUILDER, "AWS_SECRET_ACCESS_KEY": "stand-in"}
    keys = {"aws_access_key_id": BUILDER, "aws_secret_access_key": "stand-in", "endpoint_url": os.environ[SERVER]}
    bucket, _, key = project["source"]["Location"].partition("/")
    spec = json.loads(project["source"]["BuildSpec"])
    variables = {each["Name"]: each["Value"] for each in project["environment"]["EnvironmentVariables"]}
    with tempfile.TemporaryDirectory() as folder:
        source = boto3.client("s3", region_name=REGION, **keys).get_object(Bucket=bucket, Key=key)["Body"].read()
        zipfile.ZipFile(io.BytesIO(source)).extractall(folder)
        build["currentPhase"] = "BUILD"
        process = _running[build["id"]] = subprocess.Popen(  # noqa: S603 - the commands of our project
            [spec["env"]["shell"], "-c", "\n".join(spec["phases"]["build"]["commands"])],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": folder, "AWS_DEFAULT_REGION": REGION, "NO_PROXY": "127.0.0.1"}
            | own
            | variables
            | given,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = process.communicate()[0].strip() or "nothing"
    if _running.pop(build["id"], None) is None:  # stopped
        return
    group = project["logsConfig"]["CloudWatchLogs"]["GroupName"]
    stream = f"{project['logsConfig']['CloudWatchLogs']['StreamName']}/{build['id'].rpartition(':')[2]}"
    logs, now = boto3.client("logs", region_name=REGION, **keys), int(time.time() * 1000)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    lines = [{"timestamp": now, "message": line} for line in said.splitlines()]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=lines)
    build["logs"] = {"groupName": group, "streamName": stream}
    build |= {"currentPhase": "COMPLETED", "buildStatus": "FAILED" if process.returncode else "SUCCEEDED"}
    build["buildComplete"] = True
