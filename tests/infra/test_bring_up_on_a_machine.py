"""The bring-up on a real file system of the distribution: its results, a second run, and the units afterwards."""

import datetime as dt
import email
import json
import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import REDOX
from infra.bring_up import LIMITS, upload, user_data
from infra.deployed import Deployed
from infra.machine import contract
from infra.machine.jobs import Job, Queue
from infra.settings import FILE, parse
from machines import PATH, Chroot, Metadata, machine, metadata_service, why_not
from ops.simulator.aws import StandIn
from redox_balancer.runs import checkpoint
from waiting import wait_until

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

SETTINGS = parse(FILE.read_text().replace('image_delivery = "repository"', 'image_delivery = "host"'))
BUCKET, INSTANCE = "checkpoints", "i-0123456789abcdef0"
RUN = f"{SETTINGS.container.experiments}/production"


@dataclass
class Host:
    """A machine that was set up, and its stand-ins."""

    chroot: Chroot
    metadata: Metadata
    aws: StandIn
    first: subprocess.CompletedProcess[str]

    @property
    def inside(self) -> Path:
        """Its file system with its mounts, from outside."""
        return Path(f"/proc/{self.chroot.namespace.pid}/root{self.chroot.root}")

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which its programs find the stand-ins."""
        return environment(self.metadata, self.aws)

    def cron(self) -> subprocess.CompletedProcess[str]:
        """Run the sync's cron line as cron does."""
        (line,) = [
            line for line in self.chroot.outside("/etc/cron.d/redox-sweep").splitlines() if not line.startswith("#")
        ]
        found = re.fullmatch(r"17 \* \* \* \* root (.+)", line)
        assert found
        alone = ("env", f"PATH={ENGINE_PATH}", "/bin/sh", "-c", found[1])  # the PATH of cron
        return self.chroot.run(*alone, environment=self.environment)

    def objects(self) -> list[str]:
        """Return the keys of the bucket in the order of upload."""
        s3 = self.aws.client("s3")
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{SETTINGS.storage.runs}/").get("Contents", [])
        found = [each for each in found if "/logs/" not in each["Key"]]
        puts = re.findall(
            rf'"PUT /{BUCKET}/({SETTINGS.storage.runs}/(?!\S+/logs/)\S+) HTTP', self.aws.log.read_text()
        )
        assert set(puts) == {item["Key"] for item in found}
        return list(dict.fromkeys(puts))


def run_user_data(chroot: Chroot, text: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the script part of user data as cloud-init does."""
    message = email.message_from_string(text)
    assert message.get_content_type() == "text/x-shellscript-per-boot"
    script = chroot.root / "srv/part-001"
    script.parent.mkdir(exist_ok=True)
    script.write_text(message.get_payload())
    script.chmod(0o755)
    answer = chroot.run("/srv/part-001", environment=environment)
    script.unlink()
    return answer


USER_DATA = user_data("us-east-1", BUCKET, "host")


def environment(metadata: Metadata, aws: StandIn) -> dict[str, str]:
    """Environment in which a machine finds the stand-ins."""
    return {"AWS_ENDPOINT_URL": aws.address, "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.address}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, aws: StandIn) -> Iterator[Host]:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    upload(SETTINGS, Deployed(bucket=BUCKET, repository="repository"), s3)
    with metadata_service(INSTANCE) as metadata, machine(tmp_path_factory.mktemp("machine")) as chroot:
        yield Host(chroot, metadata, aws, run_user_data(chroot, USER_DATA, environment(metadata, aws)))


def outcome(host: Host) -> dict[str, Any]:
    found = host.aws.client("s3").get_object(Bucket=BUCKET, Key=contract.OUTCOME)
    return dict(json.loads(found["Body"].read()))


def test_it_succeeds_and_tells_so_in_the_bucket(host: Host) -> None:
    assert host.first.returncode == 0, host.chroot.outside("/var/log/redox.log")[-2_000:]
    assert host.first.stdout == host.first.stderr == ""  # everything is in the one log
    assert host.chroot.outside("/var/log/redox.log").splitlines()[-1].endswith("bring-up: done")
    assert (outcome(host)["instance"], outcome(host)["failures"]) == (INSTANCE, 0)


def test_limits_kernel_engine_and_user(host: Host) -> None:
    assert host.chroot.outside("/etc/security/limits.d/90-redox.conf") == LIMITS.read_text()
    assert "fs.nr_open = 1048576" in host.chroot.outside("/etc/sysctl.d/90-redox.conf")
    engine = json.loads(host.chroot.outside("/etc/docker/daemon.json"))
    known = host.chroot.run("dockerd", "--help").stdout
    assert all(re.search(rf"--{key.removesuffix('s')}\b", known) for key in engine)
    assert engine["shutdown-timeout"] == SETTINGS.limits.stop_timeout_s
    assert host.chroot.run("id", "--user", SETTINGS.container.user).stdout.strip() == str(SETTINGS.container.uid)


def test_no_unattended_update_restarts_docker(host: Host) -> None:
    """Debian's own apt and Perl read the files."""
    kept = host.chroot.run("apt-config", "dump", "Unattended-Upgrade::Package-Blacklist").stdout
    assert {"docker", "containerd", "runc"} <= set(re.findall(r':: "(.+)";', kept))
    asked = "our %nrconf; eval do { local $/; <STDIN> }; die $@ if $@; print keys %{$nrconf{override_rc}}"
    perl = f"perl -e '{asked}' </etc/needrestart/conf.d/redox.conf"
    (pattern,) = host.chroot.run("sh", "-c", perl).stdout.split()
    assert all(re.search(pattern[4:-1], f"{unit}.service") for unit in ("docker", "containerd", "redox-trainer"))


@contextmanager
def watch(host: Host) -> Iterator[Iterable[str]]:
    """The host's watch while it runs, and the lines of its log."""
    variables = {
        **host.environment,
        "PYTHONPATH": "/usr/local/lib/redox",
        "PYTHONUNBUFFERED": "1",
        "REDOX_REGION": "us-east-1",
        "REDOX_BUCKET": BUCKET,
        "PATH": f"/opt/stand-in:{PATH}",
    }
    command = host.chroot.words("python3", "-m", "infra.machine.watch")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=Chroot.env(variables)) as process:
        try:
            assert process.stdout
            yield process.stdout
        finally:
            process.kill()


def findings(host: Host, *units: str) -> list[str]:
    """Problems that systemd finds in our units."""
    said = host.chroot.run("systemd-analyze", "verify", *units).stderr
    return [line for line in said.splitlines() if "redox-" in line]


def test_units_pass_systemds_own_check_and_are_started(host: Host) -> None:
    units = ["redox-trainer.service", "redox-watch.service"]
    assert not findings(host, *(f"/etc/systemd/system/{unit}" for unit in units))
    spoiled = host.chroot.outside("/etc/systemd/system/redox-watch.service").replace("Restart=", "Restarts=")
    (host.chroot.root / "srv/redox-spoiled.service").write_text(spoiled)
    assert "Restarts" in findings(host, "/srv/redox-spoiled.service")[0]  # the check finds faults
    calls = host.chroot.calls()
    assert "systemctl restart systemd-sysctl" in calls
    assert "systemctl enable --now cron docker" in calls
    # The guard against idle time first: what comes after it may fail.
    assert calls.index("systemctl restart --no-block redox-watch") < calls.index("systemctl enable --now cron docker")


def test_a_host_that_is_set_up_goes_on_with_the_run_of_the_one_before_it(host: Host) -> None:
    """By the watch alone: a host made from an image must not go on with the run of that image."""
    assert not any("redox-trainer" in call for call in host.chroot.calls())
    assert "[Install]" not in host.chroot.outside("/etc/systemd/system/redox-trainer.service")
    environment = 'REDOX_RUN="production"\n'
    s3 = host.aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key=contract.QUEUE, Body=Queue(active=Job("production", environment)).content())
    with watch(host):
        wait_until(lambda: host.chroot.outside(str(contract.RUN_ENV)) == environment)
        wait_until(lambda: "systemctl start --no-block redox-trainer.service" in host.chroot.calls())


def test_the_folder_of_runs_is_the_containers(host: Host) -> None:
    owner = host.chroot.run("stat", "--format", "%u", SETTINGS.container.experiments)
    assert owner.stdout.strip() == str(SETTINGS.container.uid)


def test_a_second_run_changes_nothing(host: Host) -> None:
    mark = f"{SETTINGS.container.data}/kept"
    host.chroot.run("touch", mark)
    before = host.chroot.tree()
    packages = host.chroot.run("dpkg-query", "--list").stdout
    again = run_user_data(host.chroot, USER_DATA, host.environment)
    assert again.returncode == 0, host.chroot.outside("/var/log/redox.log")[-2_000:]
    after = host.chroot.tree()
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert not changed
    assert host.chroot.run("dpkg-query", "--list").stdout == packages
    assert host.chroot.run("test", "-e", mark).returncode == 0


def test_a_failure_is_reported_with_its_log_but_not_by_make_apply(host: Host) -> None:
    (host.chroot.root / "run/stub-fails").write_text("daemon-reload\n")
    applied = host.chroot.run("/usr/local/lib/redox/fetch", "apply", environment=host.environment)
    assert applied.returncode == 1
    assert outcome(host)["failures"] == 0  # or the host would end under its training
    answer = run_user_data(host.chroot, USER_DATA, host.environment)
    (host.chroot.root / "run/stub-fails").unlink()
    assert answer.returncode == 1
    assert (outcome(host)["step"], outcome(host)["failures"]) == ("watch", 1)
    assert "failed with exit code 1 in step watch" in outcome(host)["log"]
    assert f"{contract.STATE}/failed/{INSTANCE}.log" in [
        each["Key"] for each in host.aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    ]


# No engine runs in a chroot: the command of the container runs outside, on the same files.
ENGINE = """#!/bin/bash
echo "$*" >>/var/log/docker.calls
while (($#)) && [[ $1 != checkpoints ]]; do
    [[ $1 != --env=*=* ]] || export "${{1#--env=}}"
    shift
done
(($#)) || exit 1 # it has no container
exec /usr/bin/nsenter --target {outside} --mount --root --wd=/ {redox} "${{@/#\\/data/{data}}}"
"""
ENGINE_PATH = "/opt/stand-in:/usr/bin:/bin"  # the PATH of cron, after the engine's stand-in


@pytest.fixture(scope="module")
def engine(host: Host) -> Host:
    program = host.chroot.root / "opt/stand-in/docker"
    program.parent.mkdir()
    data = str(host.inside / "data").replace("/", r"\/")
    program.write_text(ENGINE.format(outside=os.getpid(), redox=REDOX, data=data))
    program.chmod(0o755)
    return host


def write_checkpoint(host: Host, step: int, *, when: float) -> None:
    run = host.inside / RUN[1:]
    saved = checkpoint.save(run, step, {"weights": np.arange(step)}, {"return_mean": None, "best": None})
    (run / ".partial-step").mkdir(exist_ok=True)
    (run / "metrics.csv").write_text("step\n" * step)
    (run / "heartbeat.json").write_text(json.dumps({"written_at": when, "status": "training"}))
    assert saved.name == f"step_{step:09}"


def last_line(host: Host) -> str:
    return host.chroot.outside("/var/log/redox.log").splitlines()[-1]


def reported_ages(aws: StandIn) -> list[float]:
    now = dt.datetime.now(dt.UTC)
    found = aws.client("cloudwatch").get_metric_statistics(
        Namespace="redox_balancer",
        MetricName="checkpoint_age_s",
        Dimensions=[{"Name": "AutoScalingGroupName", "Value": "redox-host"}],
        StartTime=now - dt.timedelta(hours=1),
        EndTime=now + dt.timedelta(hours=1),
        Period=7_200,
        Statistics=["Maximum"],
    )
    return [point["Maximum"] for point in found["Datapoints"]]


def test_the_hourly_sync_pushes_missing_files_manifest_last_and_deletes_nothing(engine: Host) -> None:
    host = engine
    write_checkpoint(host, 10, when=time.time())
    assert host.cron().returncode == 0, host.chroot.outside("/var/log/redox.log")[-2_000:]
    url, runs = f"s3://{BUCKET}/{SETTINGS.storage.runs}/production", f"{SETTINGS.storage.runs}/production"
    assert host.objects() == [
        f"{runs}/step_000000010/arrays.safetensors",
        f"{runs}/step_000000010/state.json",
        f"{runs}/step_000000010/manifest.json",
        f"{runs}/metrics.csv",
    ]
    (age,) = reported_ages(host.aws)
    assert 0 <= age < 60
    assert last_line(host).endswith(f"sync: {url}: 1 checkpoints pushed, 0 already present")
    # Nothing new: nothing is sent. Then a checkpoint more, and one that the trainer removed.
    host.cron()
    assert last_line(host).endswith("0 checkpoints pushed, 1 already present")
    write_checkpoint(host, 20, when=time.time())
    host.chroot.run("rm", "-r", f"{RUN}/step_000000010")
    host.cron()
    assert {f"{runs}/step_000000010/manifest.json", f"{runs}/step_000000020/manifest.json"} <= set(host.objects())
    assert '"DELETE ' not in host.aws.log.read_text()
    log = f"{runs}/logs/{INSTANCE}.log"  # of the training, empty here
    assert host.aws.client("s3").get_object(Bucket=BUCKET, Key=log)["Body"].read() is not None
    calls = host.chroot.outside("/var/log/docker.calls").splitlines()
    assert all("--volume=/data:/data:ro " in call and " --pull=never " in call for call in calls)


def test_the_sync_reports_checkpoints_that_it_could_not_push(engine: Host) -> None:
    host = engine
    write_checkpoint(host, 25, when=time.time())
    damaged = host.inside / RUN[1:] / "step_000000025/state.json"
    damaged.write_text("{}")
    assert host.cron().returncode == 1
    assert "error: 1 checkpoints not pushed" in host.chroot.outside("/var/log/redox.log")
    host.chroot.run("rm", "-r", f"{RUN}/step_000000025")
    assert host.cron().returncode == 0


def test_a_spot_interruption_notice_saves_and_pushes_a_checkpoint(engine: Host) -> None:
    """On SIGTERM the trainer (here systemd's stand-in) writes a checkpoint; the watch then pushes it."""
    host = engine
    settings: dict[str, Any] = json.loads(host.chroot.outside("/etc/redox/settings.json"))
    settings["host.spot"] = True
    (host.chroot.root / "etc/redox/settings.json").write_text(json.dumps(settings))
    write_checkpoint(host, 30, when=time.time())
    host.metadata.answers["spot/instance-action"] = '{"action": "terminate", "time": "2026-01-01T00:02:00Z"}'
    with watch(host) as lines:
        assert any("1 checkpoints pushed" in line for line in lines)
        wanted = f"{SETTINGS.storage.runs}/production/step_000000030/manifest.json"
        assert wanted in host.objects()
    assert "systemctl stop redox-trainer.service" in host.chroot.calls()
