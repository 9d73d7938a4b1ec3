"""The tables of `deploy.toml` as dataclasses, each value with its rule. Only the standard library."""

import re
from dataclasses import dataclass

from infra.validation import SettingRule, between, each, like, one_of, setting

# GiB of memory per vCPU by family: compute, general purpose, memory (AWS, "Amazon EC2 instance types").
GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}
VCPUS = {"large": 2, "xlarge": 4}
TYPE = re.compile(r"(?P<family>[a-z])(?P<generation>\d+)(?P<options>[a-z]*)\.(?P<size>large|(?P<times>\d*)xlarge)")


@dataclass(frozen=True)
class InstanceType:
    """Cores and memory of an instance type."""

    vcpus: int
    memory_gib: int


def instance_type(name: str) -> InstanceType | None:
    """Return cores and memory of an instance type of the families c, m and r; None for any other name.

    Graviton types (a `g` after the generation) are None as well: the image is built for x86-64.
    """
    match = TYPE.fullmatch(name)
    if match is None or match["family"] not in GIB_PER_VCPU or "g" in match["options"]:
        return None
    vcpus = VCPUS["large"] if match["size"] == "large" else VCPUS["xlarge"] * int(match["times"] or 1)
    return InstanceType(vcpus, vcpus * GIB_PER_VCPU[match["family"]])


NAME = like(r"[a-z0-9][a-z0-9-]*[a-z0-9]", "lowercase letters, digits and dashes")
RUN = like(r"[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits, dots, dashes and underscores")
FOLDER = like(r"/[a-z0-9_/-]*[a-z0-9_-]", "an absolute path")
AMI = like(r"ami-([0-9a-f]{8}|[0-9a-f]{17})", "an AMI id like ami-0123456789abcdef0")
PORT = between(1024, 65535)
COUNT = between(1, 10_000)
SOURCE = like(r".+", "the source of the prices")

MAX_ACTORS = 120  # the trainer's own limit
MIN_STORE_BYTES = 80_000_000  # Ray's own limit


@dataclass(frozen=True, kw_only=True)
class AwsSettings:
    """Region and availability zones of the deployment."""

    region: str = setting(like(r"[a-z]{2}(-[a-z]+)+-\d", "a region like us-east-1"))
    zones: tuple[str, ...] = setting(each(like(r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "a zone like us-east-1a")))


@dataclass(frozen=True, kw_only=True)
class NamesSettings:
    """Names of a deployment in its account; `infra.names` makes the others of them."""

    prefix: str = setting(
        like(r"|[A-Z][A-Za-z0-9]{0,15}", "empty, or a capital letter and up to 15 letters and digits")
    )


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """The training host."""

    instance_types: tuple[str, ...] = setting(
        each(
            SettingRule(
                f"a type of the families {', '.join(GIB_PER_VCPU)} for x86-64, like r7i.48xlarge",
                lambda value: instance_type(value) is not None,
            )
        )
    )
    ami_id: str = setting(AMI)
    ami_name: str = setting()
    disk_gib: int = setting(between(30, 16_384))
    spot: bool = setting()
    workers: int = setting(between(0, 100))
    ssh_user: str = setting(like(r"[a-z_][a-z0-9_-]*", "a Linux user name"))
    ssh_public_key: str = setting(
        like(
            r"|(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) [A-Za-z0-9+/=]+( [^\x00-\x1f\x7f]*)?",
            "empty or the one line of a .pub file",
        )
    )
    idle_minutes: int = setting(between(0, 10_080))

    @property
    def instance(self) -> InstanceType:
        """Cores and memory of the smallest type: what a training gets in any case."""
        return min(self._instances, key=lambda each: (each.memory_gib, each.vcpus))

    @property
    def most_vcpus(self) -> int:
        """Cores of the largest type."""
        return max(each.vcpus for each in self._instances)

    @property
    def _instances(self) -> list[InstanceType]:
        return [found for name in self.instance_types if (found := instance_type(name))]


@dataclass(frozen=True, kw_only=True)
class PriceSettings:
    """Price of an hour of the host, and of a month of storage."""

    per_hour_usd: float = setting(between(0.001, 1_000))
    source: str = setting(SOURCE)
    volume_gib_month_usd: float = setting(between(0, 100))
    bucket_gib_month_usd: float = setting(between(0, 100))
    repository_gib_month_usd: float = setting(between(0, 100))
    snapshot_gib_month_usd: float = setting(between(0, 100))
    storage_source: str = setting(SOURCE)


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """Budget and alarms."""

    monthly_budget_usd: float = setting(between(1, 1_000_000))
    alert_email: str = setting(like(r"[^@\s]+@[^@\s]+\.[^@\s.]+", "an e-mail address"))
    memory_alarm_percent: int = setting(between(1, 99))
    longest_days: int = setting(COUNT)


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """Process limits on the host and in the container."""

    nofile: int = setting(between(1_024, 2**20))  # the kernel's default fs.nr_open
    nproc: int = setting(between(1_024, 4_194_304))  # the kernel's largest pid_max
    stop_timeout_s: int = setting(between(30, 3_600))


@dataclass(frozen=True, kw_only=True)
class ThreadSettings:
    """Threads of linear algebra in an actor and in the learner, and of gRPC in a Ray worker."""

    actor: int = setting(between(1, 64))
    ray_grpc: int = setting(between(1, 64))
    learner: int = setting(between(1, 64))


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The training that the host runs by default."""

    run: str = setting(RUN)
    timesteps: int = setting(between(1, 10**12))
    save_interval_s: int = setting(between(1, 86_400))
    spilling_threshold: float = setting(between(0.1, 1.0))
    memory_monitor_refresh_ms: int = setting(between(0, 60_000))
    num_actors: int = setting(between(1, MAX_ACTORS))
    object_store_bytes: int = setting(between(MIN_STORE_BYTES, 10**14))
    shm_bytes: int = setting(between(MIN_STORE_BYTES, 10**14))


@dataclass(frozen=True, kw_only=True)
class PortSettings:
    """Ports on the host; all are bound to the loopback but Ray's own, which workers connect to."""

    ray: int = setting(PORT)
    dashboard: int = setting(PORT)
    tensorboard: int = setting(PORT)


@dataclass(frozen=True, kw_only=True)
class ContainerSettings:
    """The training container: image, user and paths."""

    image: str = setting(NAME)
    user: str = setting(NAME)
    uid: int = setting(between(1_000, 59_999))
    home: str = setting(FOLDER)
    data: str = setting(FOLDER)
    tmp_bytes: int = setting(between(10**8, 10**13))
    image_delivery: str = setting(one_of("host", "repository"))
    image_build: str = setting(one_of("here", "cloud"))
    current_tag: str = setting(NAME)

    @property
    def app(self) -> str:
        """PYTHONPATH."""
        return f"{self.home}/app"

    @property
    def venv(self) -> str:
        """The virtual environment."""
        return f"{self.home}/venv"

    @property
    def experiments(self) -> str:
        """The folder of all runs."""
        return f"{self.data}/experiments"

    @property
    def spill(self) -> str:
        """Where Ray spills objects when its store is full: on the disk, since /tmp is memory."""
        return f"{self.data}/spill"


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Layout and lifecycle of the checkpoint bucket."""

    bucket_prefix: str = setting(
        like(r"[a-z0-9][a-z0-9-]{1,30}[a-z0-9]", "3 to 32 lowercase letters, digits and dashes")
    )
    runs: str = setting(NAME)
    locks: str = setting(NAME)
    noncurrent_days: int = setting(COUNT)
    incomplete_upload_days: int = setting(COUNT)
    sweep_minutes: int = setting(one_of(10, 15, 20, 30, 60))

    def bucket(self, account: str, region: str) -> str:
        """Return the name of the bucket; bucket names are globally unique."""
        return f"{self.bucket_prefix}-{account}-{region}"

    def run_key(self, run: str) -> str:
        """Return the key prefix of a run, with its slash."""
        return f"{self.runs}/{run}/"

    def lock_key(self, run: str) -> str:
        """Return the key of the object that names the one writer of a run."""
        return f"{self.locks}/{run}.json"


@dataclass(frozen=True, kw_only=True)
class BackupSettings:
    """Images of the host, and the age at which its backup in the bucket counts as stale."""

    image_hours: int = setting(COUNT)
    image_days: int = setting(COUNT)
    stale_hours: int = setting(between(1, 168))
