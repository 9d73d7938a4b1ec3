"""What to do about errors of EC2 that a user can mend: no capacity, a zone without the type, a quota, a lost host."""

import re
from typing import Any

from infra.quota import required
from infra.settings import Settings
from redox_balancer.errors import RedoxError

# Codes, and the texts of the same errors where CloudFormation reports them without their codes.
QUOTA = r"VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCountExceeded|current (vCPU|instance) limit"
ZONE = r"not supported in your requested Availability Zone"
CAPACITY = r"InsufficientInstanceCapacity|do not have sufficient \S+ capacity|no Spot capacity available"
GONE = r"InvalidInstanceID\.NotFound|InvalidInstanceId\b"


def hint(settings: Settings, text: str) -> str:
    """Return what to do about an error with this code or text, empty for any other error."""
    if re.search(QUOTA, text):
        return required(settings).way
    if re.search(ZONE, text):
        return f"{settings.host.instance_type} is not offered there: {elsewhere(settings)}"
    if re.search(CAPACITY, text):
        market = "spot = false" if settings.host.spot else "spot = true, which may be interrupted"
        return f"try again later, or {market}, or {elsewhere(settings)}"
    return replacement("the host") if re.search(GONE, text) else ""


def replacement(host: str) -> str:
    """Return how to get a host after one that is gone."""
    destroy = f"make destroy INSTANCE={host}" if host.startswith("i-") else "make destroy"
    return f"make restore makes a new one from the newest image; without an image: {destroy}, then make deploy"


def require_there(found: dict[str, Any], host: str) -> dict[str, Any]:
    """Return a host as EC2 describes it; a RedoxError if it is gone, of which CloudFormation knows nothing.

    To CloudFormation the stack is as it was: it makes no new host, and the updates of the old one fail.
    """
    if found.get("State", {}).get("Name", "terminated") in ("terminated", "shutting-down"):
        raise RedoxError(f"{host} was terminated", hint=replacement(host))
    return found


def elsewhere(settings: Settings) -> str:
    """Return how to get the host in another zone or of another type."""
    kind, region = settings.host.instance_type, settings.aws.region
    return (
        f"another host.instance_type, or another aws.zone than {settings.aws.zone} with another "
        f"host.data_volume_name (make destroy first). Zones that offer it: aws ec2 describe-instance-type-offerings "
        f"--location-type availability-zone --filters Name=instance-type,Values={kind} --region {region}"
    )
