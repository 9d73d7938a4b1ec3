"""The account's vCPU quota and the need of a deployment, and what to do where EC2 refuses an instance."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from infra.settings import Settings
from redox_balancer.errors import RedoxError

SERVICE = "ec2"
# vCPUs of the standard families (a, c, d, h, i, m, r, t, z), all together. A new account has 5.
CODES = {"on demand": "L-1216C47A", "spot": "L-34B43A08"}
CONSOLE = "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas"
# Codes, and the texts of the same errors where CloudFormation reports them without their codes.
QUOTA = r"VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCountExceeded|current (vCPU|instance) limit"
ZONE = r"not supported in your requested Availability Zone"
CAPACITY = r"InsufficientInstanceCapacity|do not have sufficient \S+ capacity|no Spot capacity available"


@dataclass(frozen=True)
class Quota:
    """A vCPU quota of a region: its value in the account, and the need of a deployment."""

    code: str
    market: str
    region: str
    need: int
    have: int

    @property
    def enough(self) -> bool:
        """Whether the quota is sufficient."""
        return self.have >= self.need

    @property
    def console(self) -> str:
        """Page of the console that requests an increase."""
        return f"{CONSOLE}/{self.code}?region={self.region}"

    @property
    def request(self) -> str:
        """Command that requests an increase."""
        return (
            f"aws service-quotas request-service-quota-increase --service-code {SERVICE} --quota-code {self.code} "
            f"--desired-value {self.need} --region {self.region}"
        )

    @property
    def way(self) -> str:
        """How to get an increase."""
        return f"raise it at {self.console}, or: {self.request}"


def required(settings: Settings) -> Quota:
    """Return the quota that the settings need, before the account was asked what it has."""
    host = settings.host
    market = "spot" if host.spot else "on demand"
    need = host.most_vcpus + host.workers * host.instance.vcpus
    return Quota(code=CODES[market], market=market, region=settings.aws.region, need=need, have=0)


def read(settings: Settings, client: Callable[[str], Any]) -> Quota:
    """Query the quota that applies to the settings; `client` returns the client of an AWS service."""
    found = required(settings)
    answer = client("service-quotas").get_service_quota(ServiceCode=SERVICE, QuotaCode=found.code)
    return replace(found, have=int(answer["Quota"]["Value"]))


def refusal(settings: Settings, quota: Quota) -> RedoxError | None:
    """Return the error of an insufficient quota, None if it is sufficient."""
    if quota.enough:
        return None
    host = settings.host
    kind = host.instance_types[0]
    machines = f"{1 + host.workers} times {kind}" if host.workers else kind
    return RedoxError(
        f"quota {quota.code} ({quota.market} vCPUs) is {quota.have}, {machines} needs {quota.need}", hint=quota.way
    )


def check(settings: Settings, client: Callable[[str], Any]) -> Quota:
    """Return the quota; an error with the way to raise it if it is insufficient."""
    quota = read(settings, client)
    if (refused := refusal(settings, quota)) is not None:
        raise refused
    return quota


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
