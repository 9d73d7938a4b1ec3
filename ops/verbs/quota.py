"""`make quota`: whether the account may have a host of this size, before anything is asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ops.session import Answer, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops quota --json"

SERVICE = "ec2"
CODES = {
    "on demand": "L-1216C47A",
    "spot": "L-34B43A08",
}  # vCPUs of the standard families, all together
CONSOLE = "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas"


@dataclass(frozen=True)
class Quota:
    """A quota of vCPUs: what the account has of it and what a deployment needs."""

    code: str
    market: str
    need: int
    have: int

    @property
    def enough(self) -> bool:
        """Whether the deployment fits."""
        return self.have >= self.need


def read(session: Session) -> Quota:
    """Ask AWS for the quota that the settings need."""
    host = session.settings.host
    market = "spot" if host.spot else "on demand"
    code = CODES[market]
    found = session.client("service-quotas").get_service_quota(ServiceCode=SERVICE, QuotaCode=code)
    need = host.instance.vcpus * (1 + host.workers)
    return Quota(code=code, market=market, need=need, have=int(found["Quota"]["Value"]))


def check(session: Session) -> Quota:
    """Return the quota; an error that says how to raise it where it is too small."""
    quota = read(session)
    if not quota.enough:
        raise RedoxError(
            f"quota {quota.code} ({quota.market} vCPUs) is {quota.have}, {session.settings.host.instance_type} needs "
            f"{quota.need}",
            hint=f"raise it at {CONSOLE}/{quota.code}, or: aws service-quotas request-service-quota-increase "
            f"--service-code {SERVICE} --quota-code {quota.code} --desired-value {quota.need}",
        )
    return quota


def quota(session: Session) -> Answer:
    """Compare the account's quota of vCPUs with what the host needs; exit code 2 where it is too small."""
    found = check(session)
    text = f"{found.code} ({found.market} vCPUs): need {found.need}, have {found.have}"
    return Answer(asdict(found), text)
