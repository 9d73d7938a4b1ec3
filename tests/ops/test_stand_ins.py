"""The simulator: simulated AWS leads to simulated hosts, which start, stop and die like machines."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import ran
from infra.settings import ROOT
from ops.simulator import host as hosts
from ops.simulator.aws import StandIn, stand_in
from ops.simulator.hypervisor import Hypervisor, script_of
from ssh_host import why_not
from waiting import wait_until

UNIT = """\
[Service]
EnvironmentFile=-/etc/redox/run.env
ExecCondition=/usr/bin/test -e /data/ready
ExecStart=/bin/sh -c "echo $$0 >>/data/starts; exec sleep 1000" "named ${NAME}"
Restart=on-failure
RestartSec=0
RestartPreventExitStatus=2
"""
PREPARED = """\
[Service]
ExecStartPre=/bin/sh -c "touch /data/preparing; exec sleep 1000"
ExecStart=/bin/sh -c "touch /data/started; exec sleep 1000"
"""
USER_DATA = "#!/bin/bash\necho booted >>/data/boots\n"


WRITES = """
import sys, threading
from ops.simulator.rules import write_log

sys.setswitchinterval(1e-6)
lines = [str(thread) * 200 for thread in range(8)]
threads = [threading.Thread(target=lambda line=line: [write_log(line) for _ in range(500)]) for line in lines]
[each.start() for each in threads]
[each.join() for each in threads]
"""


def test_requests_at_the_same_time_leave_whole_lines_in_the_log() -> None:
    lines = ran([sys.executable, "-c", WRITES], cwd=ROOT).stdout.splitlines()
    assert sorted(lines) == sorted(str(thread) * 200 for thread in range(8) for _ in range(500))


@pytest.fixture(scope="module")
def able() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def aws(able: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    del able
    with stand_in(tmp_path_factory.mktemp("aws")) as server:
        yield server
        assert server.hidden_failures() == []


@pytest.fixture(scope="module")
def machines(aws: StandIn) -> Iterator[Hypervisor]:
    with Hypervisor(aws, "ubuntu") as running:
        yield running


@pytest.fixture
def instance(aws: StandIn, machines: Hypervisor) -> Iterator[str]:
    """An instance with a running host; terminated at the end."""
    ec2 = aws.client("ec2")
    name = run_instance(ec2)
    host = machines.host(name)
    wait_until(lambda: "booted" in host.run("cat", "/data/boots").stdout)
    yield name
    ec2.terminate_instances(InstanceIds=[name])
    wait_until(lambda: not host.record.alive)


def run_instance(ec2: Any, image: str = "ami-12c6146b") -> str:
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, UserData=USER_DATA)
    return str(made["Instances"][0]["InstanceId"])


def ssh(machines: Hypervisor, name: str, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Log in as the commands do: through the gateway, with the host key of the console."""
    console = machines.aws.client("ec2").get_console_output(InstanceId=name)["Output"]
    key = console.split("KEYS-----")[1].splitlines()[1]
    (folder / "known").write_text(f"{name} {key}\n")
    proxy = "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p"
    options = [
        *("-F", "none", "-o", f"ProxyCommand={proxy}", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"),
        *("-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "IdentitiesOnly=yes", "-i", str(folder / "key")),
    ]
    return ran(
        ["ssh", *options, f"ubuntu@{name}", command],
        env=os.environ | {"PATH": f"{machines.programs}:{os.environ['PATH']}"},
    )


def online(aws: StandIn, name: str) -> list[str]:
    asked = [{"Key": "InstanceIds", "Values": [name]}]
    found = aws.client("ssm").describe_instance_information(Filters=asked)["InstanceInformationList"]
    return [each["PingStatus"] for each in found]


def test_a_host_admits_the_key_sent_through_instance_connect_and_no_other(
    aws: StandIn, machines: Hypervisor, instance: str, tmp_path: Path
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    refused = ssh(machines, instance, tmp_path, "true")
    assert (refused.returncode, "Permission denied" in refused.stderr) == (255, True)
    public = (tmp_path / "key.pub").read_text()
    connect = aws.client("ec2-instance-connect")
    connect.send_ssh_public_key(InstanceId=instance, InstanceOSUser="ubuntu", SSHPublicKey=public)
    admitted = ssh(machines, instance, tmp_path, "hostname; sudo -n id -u; echo $HOME")
    assert admitted.stdout.split() == [instance, "0", "/home/ubuntu"], admitted.stderr
    # Nor once its minute is over.
    host = machines.host(instance)
    host.record.admit("late", public, -60)
    keys = host.record.folder / "authorized_keys"
    shutil.move(keys / "late", keys / "ubuntu")
    assert "Permission denied" in ssh(machines, instance, tmp_path, "true").stderr


def test_one_kill_ends_everything_on_a_host_and_its_instance_stays_running(
    aws: StandIn, machines: Hypervisor, instance: str
) -> None:
    host = machines.host(instance)
    host.run("sh", "-c", "setsid nohup sleep 987654 >/dev/null 2>&1 &")
    assert online(aws, instance) == ["Online"]
    host.kill()
    assert online(aws, instance) == ["ConnectionLost"]
    assert (
        "sleep 987654" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    )
    seen = aws.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert seen["State"]["Name"] == "running"
    session = [machines.programs / "aws", "ssm", "start-session", "--document-name", "AWS-StartSSHSession"]
    refused = ran([*session, "--target", instance])
    assert (refused.returncode, "(TargetNotConnected)" in refused.stderr) == (254, True)


def test_a_host_writes_to_its_disk_and_its_images_and_never_to_this_machine(
    aws: StandIn, machines: Hypervisor, instance: str
) -> None:
    host, ec2 = machines.host(instance), aws.client("ec2")
    host.run("sh", "-c", "echo run >/etc/redox/run.env; echo lost >/usr/local/lost; echo data >/data/file")
    assert not Path("/etc/redox/run.env").exists()
    assert not Path("/usr/local/lost").exists()
    image = ec2.create_image(InstanceId=instance, Name="of-a-host", NoReboot=True)["ImageId"]
    wait_until((aws.hosts.parent / "images" / image).exists)
    ec2.stop_instances(InstanceIds=[instance])
    wait_until(lambda: not host.record.alive)
    assert host.process.wait(10) == 0  # shut down, not killed
    second = run_instance(ec2, image)
    other = machines.host(second)
    try:
        wait_until(lambda: other.run("cat", "/data/boots").stdout == "booted\nbooted\n")
        assert other.run("sh", "-c", "cat /etc/redox/run.env /data/file; ls /usr/local/lost").stdout == "run\ndata\n"
    finally:
        ec2.terminate_instances(InstanceIds=[second])


def test_a_unit_waits_for_its_condition_restarts_when_killed_and_stays_down_when_stopped(
    machines: Hypervisor, instance: str
) -> None:
    host = machines.host(instance)

    def systemctl(*arguments: str) -> str:
        return host.run("systemctl", *arguments).stdout

    (host.disk / "etc/systemd/system/probe.service").write_text(UNIT)
    (host.disk / "etc/redox/run.env").write_text("NAME='of the run'\n")
    systemctl("start", "probe")
    assert systemctl("is-active", "probe") == "inactive\n"
    assert "Result=exec-condition" in systemctl("show", "probe")
    host.run("touch", "/data/ready")
    systemctl("start", "probe.service")
    assert systemctl("is-active", "probe") == "active\n"
    first = int(systemctl("show", "--property=MainPID", "--value", "probe"))
    host.run("kill", "-KILL", str(first))
    wait_until(lambda: systemctl("show", "--property=NRestarts", "--value", "probe") == "1\n")
    wait_until(lambda: systemctl("is-active", "probe") == "active\n")
    wait_until(lambda: host.run("cat", "/data/starts").stdout == "named of the run\n" * 2)  # after it is active
    systemctl("stop", "probe")
    assert systemctl("is-active", "probe") == "inactive\n"
    assert "sleep 1000" not in host.run("ps", "-eo", "args").stdout


def test_a_unit_that_is_stopped_while_it_is_prepared_is_down_at_once_and_does_not_start(
    machines: Hypervisor, instance: str
) -> None:
    host = machines.host(instance)
    (host.disk / "etc/systemd/system/prepared.service").write_text(PREPARED)
    host.run("systemctl", "start", "--no-block", "prepared")
    wait_until(lambda: host.run("test", "-e", "/data/preparing").returncode == 0)
    assert host.run("timeout", "60", "systemctl", "stop", "prepared").returncode == 0
    assert host.run("systemctl", "is-active", "prepared").stdout == "inactive\n"
    assert host.run("test", "-e", "/data/started").returncode == 1


def test_the_uptime_of_a_host_counts_from_its_start(machines: Hypervisor, instance: str) -> None:
    uptime = machines.host(instance).run("cat", "/proc/uptime").stdout
    assert float(uptime.split()[0]) < 60


def test_a_host_that_shuts_itself_down_stops_its_instance(aws: StandIn, machines: Hypervisor, instance: str) -> None:
    machines.host(instance).run("shutdown", "--poweroff", "now")
    ec2 = aws.client("ec2")
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def test_the_script_is_found_in_user_data_with_several_parts() -> None:
    from infra.bring_up import fetcher, user_data  # noqa: PLC0415

    given = ("us-east-1", "checkpoints", "host")
    assert script_of(user_data(*given)) == fetcher(*given)


@pytest.mark.usefixtures("able")
def test_the_end_of_the_starting_process_ends_the_host(tmp_path: Path) -> None:
    host = hosts.start(tmp_path / "hosts" / "i-1", hosts.Login("ubuntu"), {})
    began = time.monotonic()
    os.kill(host.process.pid, signal.SIGKILL)
    wait_until(lambda: not host.record.alive)
    assert time.monotonic() - began < 5


def test_a_host_builds_images_and_runs_containers(machines: Hypervisor, instance: str) -> None:
    host = machines.host(instance)

    def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
        return host.run("docker", *arguments)

    assert docker("build", "--build-arg", "COMMIT=c0ffee", "--tag", "trial", str(ROOT)).returncode == 0
    shown = docker("image", "inspect", "--format", "{{.Id}} {{.Config.Labels}}", "trial:latest").stdout
    assert shown.startswith("sha256:")
    assert "'org.opencontainers.image.revision': 'c0ffee'" in shown
    unknown = docker("image", "inspect", "--format", "{{.Id}}", "trial:three")
    assert (unknown.returncode, "No such image: trial:three" in unknown.stderr) == (1, True)
    assert docker("run", "--rm", "trial", "shell", "-c", "exit 7").returncode == 7
    # It runs the built code, not the package installed on this machine.
    show = 'echo $REDOX_RUN $REDOX_COMMIT; cd / && python3 -c "import redox_balancer as r; print(r.__file__)"'
    ran_in = docker("run", "--rm", "--env", "REDOX_RUN=mine", "trial", "shell", "-c", show)
    assert ran_in.stdout.split() == ["mine", "c0ffee", "/opt/redox/app/redox_balancer/__init__.py"]
    command = "trap 'exit 143' TERM; echo ready; sleep 1000 & wait"
    options = "--name one --env A=1 --env UNSET"
    host.run("sh", "-c", f'docker run {options} trial shell -c "{command}" >/run/one.log 2>&1 &')
    running = ("inspect", "--format", "{{.State.Running}} {{.Config.Image}} {{.State.ExitCode}}", "one")
    wait_until(lambda: docker(*running).stdout == "true trial 0\n")
    assert docker("run", "--name", "one", "trial").returncode == 1
    assert (
        docker("inspect", "--format", "{{if .State.Health}}{{.State.Health.Status}}{{end}}", "one").stdout
        == "healthy\n"
    )
    wait_until(lambda: "ready" in host.run("cat", "/run/one.log").stdout)  # before, it would not know the signal
    assert docker("stop", "--time", "10", "one").returncode == 0
    wait_until(lambda: docker(*running).stdout == "false trial 143\n")
    assert docker("rm", "--force", "one").returncode == 0
    assert "No such container: one" in docker(*running).stderr
