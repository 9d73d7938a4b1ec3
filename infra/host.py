"""The training host: one large instance with its data volume, without inbound access, encrypted and protected."""

from typing import Any

from aws_cdk import CfnOutput, CfnWaitCondition, CfnWaitConditionHandle, Stack, Tags
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.bring_up import MachineContext, user_data
from infra.names import BACKUP_TAG, DATA_DEVICE, HOST, ROOT_DEVICE
from infra.network import HostNetwork
from infra.role import host_role
from infra.settings import Settings
from infra.storage import RedoxStorage, keep_logical_id

BRING_UP_TIMEOUT_S = 1_800


class TrainingHost(Construct):
    """Instance, role and the volume at `/data`; complete once the bring-up has signalled."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        network: HostNetwork,
        storage: RedoxStorage,
        ami_id: str,
    ) -> None:
        super().__init__(scope, name)
        self._settings, self._network = settings, network
        self.role = host_role(self, storage, settings)
        handle = CfnWaitConditionHandle(self, "BroughtUpHandle")
        self.machine = MachineContext.of_host(
            settings,
            repository=storage.repository.repository_uri,
            bucket=storage.bucket.bucket_name,
            volume=storage.volume.volume_id,
            signal_url=handle.ref,
        )
        self.instance = self._instance(ami_id)
        attachment = ec2.CfnVolumeAttachment(
            self,
            "DataAttachment",
            device=DATA_DEVICE,
            instance_id=self.instance.instance_id,
            volume_id=storage.volume.volume_id,
        )
        # Not a creation policy of the instance: the bring-up needs the volume, which is attached after the instance.
        done = CfnWaitCondition(self, "BroughtUp", handle=handle.ref, timeout=str(BRING_UP_TIMEOUT_S), count=1)
        done.add_resource_dependency(attachment)
        CfnOutput(Stack.of(self), "InstanceId", value=self.instance.instance_id)

    def _instance(self, ami_id: str) -> ec2.Instance:
        host = self._settings.host
        instance = ec2.Instance(
            self,
            "Instance",
            **machine_options(self._settings, self._network, ami_id, self.machine),
            vpc=self._network.vpc,
            vpc_subnets=self._network.subnet,
            role=self.role,
            http_tokens=ec2.HttpTokens.REQUIRED,
            disable_api_termination=not host.spot,  # spot instances have no protection
            instance_initiated_shutdown_behavior=ec2.InstanceInitiatedShutdownBehavior.TERMINATE
            if host.spot  # a one-time request cannot be stopped
            else ec2.InstanceInitiatedShutdownBehavior.STOP,
            propagate_tags_to_volume_on_creation=True,
            user_data_causes_replacement=False,
        )
        keep_logical_id(instance, HOST)
        Tags.of(instance).add(BACKUP_TAG, "host")
        if host.spot:
            _buy_on_spot(self, instance.instance)
        return instance


def machine_options(settings: Settings, network: HostNetwork, ami_id: str, machine: MachineContext) -> dict[str, Any]:
    """Return what the host and the workers have in common."""
    root = ec2.BlockDeviceVolume.ebs(
        settings.host.root_volume_gib,
        encrypted=True,
        volume_type=ec2.EbsDeviceVolumeType.GP3,
        delete_on_termination=True,
    )
    # An image of a host contains a copy of its data volume: the host gets the volume itself, a worker needs none.
    unmapped = ec2.BlockDeviceVolume()
    return {
        "instance_type": ec2.InstanceType(settings.host.instance_type),
        "machine_image": ec2.MachineImage.generic_linux({settings.aws.region: ami_id}),
        "associate_public_ip_address": True,
        "security_group": network.security_group,
        "http_put_response_hop_limit": 2,  # one more for the container
        "detailed_monitoring": True,
        "block_devices": [
            ec2.BlockDevice(device_name=ROOT_DEVICE, volume=root),
            ec2.BlockDevice(device_name=DATA_DEVICE, volume=unmapped, mapping_enabled=False),
        ],
        "user_data": ec2.UserData.custom(user_data(settings, machine)),
    }


def _buy_on_spot(scope: Construct, resource: ec2.CfnInstance) -> None:
    """Request a spot instance, which only a launch template can do.

    One-time: a persistent request would start a second host after `destroy`.
    """
    template = ec2.CfnLaunchTemplate(
        scope,
        "Spot",
        launch_template_data=ec2.CfnLaunchTemplate.LaunchTemplateDataProperty(
            instance_market_options=ec2.CfnLaunchTemplate.InstanceMarketOptionsProperty(
                market_type="spot",
                spot_options=ec2.CfnLaunchTemplate.SpotOptionsProperty(
                    spot_instance_type="one-time", instance_interruption_behavior="terminate"
                ),
            )
        ),
    )
    resource.launch_template = ec2.CfnInstance.LaunchTemplateSpecificationProperty(
        launch_template_id=template.ref, version=template.attr_latest_version_number
    )
