"""What to do about errors of EC2 that a user can mend: no capacity, a zone without the type, a quota."""

import re

from infra.quota import required
from infra.settings import Settings

# Codes, and the texts of the same errors where CloudFormation reports them without their codes.
QUOTA = r"VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCountExceeded|current (vCPU|instance) limit"
ZONE = r"not supported in your requested Availability Zone"
CAPACITY = r"InsufficientInstanceCapacity|do not have sufficient \S+ capacity|no Spot capacity available"


def hint(settings: Settings, text: str) -> str:
    """Return what to do about an error with this code or text, empty for any other error."""
    if re.search(QUOTA, text):
        return required(settings).way
    if re.search(ZONE, text):
        return f"the type is not offered there: {elsewhere(settings)}"
    if re.search(CAPACITY, text):
        market = "spot = false" if settings.host.spot else "spot = true, which may be interrupted"
        return f"its group keeps trying; or {market}, or {elsewhere(settings)}"
    return ""


def elsewhere(settings: Settings) -> str:
    """Return how to get the host in another zone or of another type."""
    kinds, region = ",".join(settings.host.instance_types), settings.aws.region
    return (
        "more host.instance_types or aws.zones. Zones that offer them: aws ec2 describe-instance-type-offerings "
        f"--location-type availability-zone --filters Name=instance-type,Values={kinds} --region {region}"
    )
