"""The account's vCPU quota and the need of a deployment, checked before an instance is requested."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from infra.settings import Settings
from redox_balancer.errors import RedoxError

SERVICE = "ec2"
# vCPUs of the standard families (a, c, d, h, i, m, r, t, z), all together. A new account has 5.
CODES = {"on demand": "L-1216C47A", "spot": "L-34B43A08"}
CONSOLE = "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas"


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
        f"quota {quota.code} ({quota.market} vCPUs) is {quota.have}, {machines} needs {quota.need}",
        hint=quota.way,
    )


def check(settings: Settings, client: Callable[[str], Any]) -> Quota:
    """Return the quota; an error with the way to raise it if it is insufficient."""
    quota = read(settings, client)
    if (refused := refusal(settings, quota)) is not None:
        raise refused
    return quota
