"""The CloudWatch agent: installed by Systems Manager, configured by the file that the bring-up wrote."""

from pathlib import Path
from typing import Any

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.names import AGENT_CONFIG, HOST_GROUP

CONTROL = "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
WAIT_S = 1_800  # for the bring-up, which runs at the same time
DOCUMENT: dict[str, Any] = {
    "schemaVersion": "2.2",
    "description": "Installs the CloudWatch agent from Distributor, which checks its signature, and starts it.",
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "wait",
            "inputs": {
                "timeoutSeconds": str(2 * WAIT_S),
                "runCommand": [
                    f"timeout {WAIT_S} sh -c 'until [ -s {AGENT_CONFIG} ]; do sleep 5; done'",
                    # Distributor's dpkg waits for nobody: neither for the bring-up nor for other runs of apt.
                    f"flock --timeout {WAIT_S} {Path(AGENT_CONFIG).parent} true",
                    f"apt-get -q -o DPkg::Lock::Timeout={WAIT_S} check",
                ],
            },
        },
        {
            "action": "aws:runDocument",
            "name": "install",
            "inputs": {
                "documentType": "SSMDocument",
                "documentPath": "AWS-ConfigureAWSPackage",
                "documentParameters": {"action": "Install", "name": "AmazonCloudWatchAgent"},
            },
        },
        {
            "action": "aws:runShellScript",
            "name": "start",
            "inputs": {"runCommand": [f"{CONTROL} -a fetch-config -m ec2 -c file:{AGENT_CONFIG} -s"]},
        },
    ],
}


class Agent(Construct):
    """Reports the memory use of the host, which AWS cannot see from outside, and ships its log."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        document = ssm.CfnDocument(
            self,
            "Document",
            document_type="Command",
            document_format="JSON",
            content=DOCUMENT,
            update_method="NewVersion",
        )
        ssm.CfnAssociation(
            self,
            "Association",
            name=document.ref,
            # Systems Manager runs it on every new host.
            targets=[ssm.CfnAssociation.TargetProperty(key="tag:aws:autoscaling:groupName", values=[HOST_GROUP])],
        )
