"""Auto-scaling groups of simulated AWS: they pass over zones without capacity, and replace what is lost or unhealthy.

moto's own always take the first subnet, ignore health, and are deleted and made again when their template changes. A
group is brought up to date by every call about it: the hypervisor asks all the time.
"""

import datetime as dt
import uuid
from copy import deepcopy
from itertools import product
from typing import Any

from ops.simulator.rules import account, replace

ALIVE = ("pending", "running")


def add_groups() -> None:
    """Replace the behaviour of moto's groups."""
    from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup  # noqa: PLC0415
    from moto.autoscaling.responses import AutoScalingResponse  # noqa: PLC0415

    replace(
        FakeAutoScalingGroup,
        set_desired_capacity=_set_desired_capacity,
        update_from_cloudformation_json=classmethod(_update_in_place),
    )
    health, describe = AutoScalingBackend.set_instance_health, AutoScalingBackend.describe_auto_scaling_groups

    def set_health(self: Any, instance_id: str, health_status: str) -> None:
        health(self, instance_id, health_status)
        _update_all(self)

    def describe_up_to_date(self: Any, *given: Any, **more: Any) -> Any:
        _update_all(self)
        return describe(self, *given, **more)

    def notified(self: Any, instance_ids: list[str]) -> None:
        del instance_ids
        _update_all(self)

    update = AutoScalingBackend.update_auto_scaling_group

    def update_in_part(self: Any, name: str, *, mixed_instances_policy: Any, **more: Any) -> Any:
        """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_MixedInstancesPolicy.html: parts may lack."""
        known = deepcopy(self.autoscaling_groups[name].mixed_instances_policy or {})
        if known:  # moto adds the name, and refuses both
            known["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
        return update(self, name, mixed_instances_policy={**known, **(mixed_instances_policy or {})} or None, **more)

    replace(
        AutoScalingBackend,
        set_instance_health=set_health,
        describe_auto_scaling_groups=describe_up_to_date,
        notify_terminate_instances=notified,
        terminate_instance=_terminate,
        update_auto_scaling_group=update_in_part,
    )
    replace(AutoScalingResponse, describe_scaling_activities=_activities)
    _stacks_are_updated_in_place()


def _stacks_are_updated_in_place() -> None:
    """An update keeps defaults of parameters, and updates a group when its launch template has a new version."""
    from moto.cloudformation.models import CloudFormationBackend  # noqa: PLC0415
    from moto.cloudformation.parsing import ResourceMap, parse_and_update_resource  # noqa: PLC0415

    resolve, update = CloudFormationBackend._resolve_update_parameters, ResourceMap.update  # noqa: SLF001

    def with_defaults(self: Any, instance: Any, incoming_params: list[dict[str, Any]]) -> Any:
        known = [
            each
            for each in incoming_params
            if "ParameterValue" in each or each["ParameterKey"] in instance.parameters
        ]
        return resolve(self, instance, known)

    def then_groups(self: Any, template: Any, parameters: Any = None) -> None:
        update(self, template, parameters)
        where = {"account_id": self._account_id, "region_name": self._region_name}
        for name, resource in template["Resources"].items():
            if resource["Type"] == "AWS::AutoScaling::AutoScalingGroup":
                made = parse_and_update_resource(name, resource, self, **where)
                self._parsed_resources[name] = made

    replace(CloudFormationBackend, _resolve_update_parameters=with_defaults)
    replace(ResourceMap, update=then_groups)


def _update_all(backend: Any) -> None:
    for group in list(backend.autoscaling_groups.values()):
        _update(group)


def _set_desired_capacity(group: Any, wanted: int | None) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetDesiredCapacity.html."""
    from moto.autoscaling.exceptions import ValidationError  # noqa: PLC0415

    if wanted is not None and wanted > group.max_size:
        raise ValidationError(
            f"New SetDesiredCapacity value {wanted} is above max value {group.max_size} for the AutoScalingGroup."
        )
    group.desired_capacity = group.min_size if wanted is None else wanted
    _update(group)


def _update_in_place(_cls: type, /, original_resource: Any, cloudformation_json: Any, **_: Any) -> Any:
    """A changed template leaves the instances, and the desired capacity unless it names one.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-autoscaling-autoscalinggroup.html
    """
    group, properties = original_resource, cloudformation_json["Properties"]
    group.max_size, group.min_size = int(properties["MaxSize"]), int(properties["MinSize"])
    group.mixed_instances_policy = properties.get("MixedInstancesPolicy", {})
    group._set_launch_configuration(None, properties.get("LaunchTemplate"), group.mixed_instances_policy)  # noqa: SLF001
    group._set_azs_and_vpcs([], ",".join(properties["VPCZoneIdentifier"]), update=True)  # noqa: SLF001
    if "DesiredCapacity" in properties:
        group.set_desired_capacity(int(properties["DesiredCapacity"]))
    return group


def _terminate(backend: Any, instance_id: str, should_decrement: bool) -> Any:  # noqa: FBT001 - moto calls it
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html."""
    from moto.autoscaling.exceptions import ValidationError  # noqa: PLC0415
    from moto.autoscaling.models import TerminateInstanceActivity  # noqa: PLC0415

    for group in backend.autoscaling_groups.values():
        for member in group.instance_states:
            if member.instance.id == instance_id:
                before = group.desired_capacity
                group.desired_capacity -= int(should_decrement)
                group.instance_states.remove(member)
                backend.ec2_backend.terminate_instances([instance_id])
                _update(group)
                return TerminateInstanceActivity(member.instance, before)
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def _update(group: Any) -> None:
    """End what is lost, unhealthy or too much, and launch what is missing.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html: an instance that is
    stopped, stopping or terminated is unhealthy, too.
    """
    if getattr(group, "updating", False):  # it is what terminates or launches just now
        return
    group.updating = True
    try:
        members = group.instance_states
        kept = [each for each in members if each.instance.state in ALIVE and each.health_status == "Healthy"]
        kept = kept[: group.desired_capacity]
        lost = [each.instance.id for each in members if each not in kept and each.instance.state != "terminated"]
        group.instance_states = kept
        if lost:
            group.ec2_backend.terminate_instances(lost)
        while len(group.instance_states) < group.desired_capacity and _launch(group):
            pass
    finally:
        group.updating = False


def _launch(group: Any) -> bool:
    """Launch an instance in the first zone, of the first type there, that AWS has; False if it has none.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html: "attempts to launch the
    instances in another Availability Zone until it succeeds".
    """
    from moto.autoscaling.models import ASG_NAME_TAG, InstanceState  # noqa: PLC0415
    from moto.ec2.exceptions import EC2ClientError  # noqa: PLC0415

    overrides = (group.mixed_instances_policy or {}).get("LaunchTemplate", {}).get("Overrides", [])
    types = [each["InstanceType"] for each in overrides] or [group.instance_type]
    bought = (group.mixed_instances_policy or {}).get("InstancesDistribution", {})
    spot = int(bought.get("OnDemandPercentageAboveBaseCapacity", 100)) == 0
    if spot and (refusal := account().get("no_spot")):
        _record(group, "Failed", f"{refusal} Launching EC2 instance failed.")
        return False
    tags = {**group.get_propagated_tags(), **group.instance_tags, ASG_NAME_TAG: group.name}
    template = {"LaunchTemplateId": group.ec2_launch_template.id} if group.ec2_launch_template else None
    for subnet, kind in product((group.vpc_zone_identifier or "").split(","), types):
        try:
            made = group.ec2_backend.run_instances(
                group.image_id,
                1,
                group.user_data,
                group.security_groups,
                instance_type=kind,
                tags={"instance": tags},
                launch_template=template,
                is_instance_type_default=False,
                subnet_id=subnet or None,
            )
        except EC2ClientError as error:
            _record(group, "Failed", f"{error.message} Launching EC2 instance failed.")
            continue
        (instance,) = made.instances
        instance.autoscaling_group = group
        group.instance_states.append(InstanceState(instance))
        _record(group, "Successful", f"Launching a new EC2 instance: {instance.id}")
        return True
    return False


def _record(group: Any, status: str, text: str) -> None:
    now = dt.datetime.now(dt.UTC)
    known = group.__dict__.setdefault("activities", [])
    known.insert(
        0,
        {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group.name,
            "Cause": "the desired capacity",
            "StartTime": now,
            "EndTime": now,
            "StatusCode": status,
            "StatusMessage": text,
        },
    )
    del known[100:]


def _activities(self: Any) -> Any:
    from moto.core.responses import ActionResult  # noqa: PLC0415

    name, most = self._get_param("AutoScalingGroupName"), int(self._get_param("MaxRecords") or 100)
    group = self.autoscaling_backend.autoscaling_groups.get(name)
    return ActionResult({"Activities": getattr(group, "activities", [])[:most]})
