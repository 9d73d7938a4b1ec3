"""`make apply`: applies the setup of this clone to the running host, without stopping its training."""

import argparse
import base64
import sys
from contextlib import suppress
from functools import partial

from botocore.exceptions import WaiterError

from infra.bring_up import MachineContext, script
from infra.commands import run, say
from infra.deployed import client, describe_instance, find
from infra.names import LOG
from infra.refusals import require_there
from infra.settings import Settings
from redox_balancer.errors import RedoxError

TIMEOUT_S = 1_800
POLL_S = 2
RUNNING = ("Pending", "InProgress", "Delayed")


def apply(settings: Settings, *, dry_run: bool) -> int:
    """Run the bring-up on the host through Systems Manager and wait until it has finished."""
    there = find(settings)
    if there is None:
        raise RedoxError("nothing is deployed", hint="make deploy")
    host = there.host()
    machine = MachineContext.of_host(
        settings, repository=there.repository, bucket=there.bucket, volume=there.volume_id
    )
    text = script(settings, machine)
    if dry_run:
        sys.stdout.write(text)
        return 0
    require_there(describe_instance(client(settings, "ec2"), host), host)
    # In bash of its own: Systems Manager runs its commands with sh.
    packed = base64.b64encode(text.encode()).decode()
    commands = [f"echo {packed} | base64 -d | bash || {{ tail -n 20 {LOG}; exit 1; }}", f"tail -n 1 {LOG}"]
    ssm = client(settings, "ssm")
    sent = ssm.send_command(
        InstanceIds=[host],
        DocumentName="AWS-RunShellScript",
        Comment="redox_balancer: make apply",
        Parameters={"commands": ["set -e", *commands], "executionTimeout": [str(TIMEOUT_S)]},
    )["Command"]["CommandId"]
    say(f"sent to {host}, waiting for it to finish")
    invocation = {"CommandId": sent, "InstanceId": host}
    with suppress(WaiterError):  # which tells less than the answer
        config = {"Delay": POLL_S, "MaxAttempts": TIMEOUT_S // POLL_S}
        ssm.get_waiter("command_executed").wait(**invocation, WaiterConfig=config)
    answer = ssm.get_command_invocation(**invocation)
    if answer["Status"] in RUNNING:
        hint = "is it running, and online?"
        raise RedoxError(f"{host} has not finished the setup within {TIMEOUT_S} s", hint=hint)
    said = answer["StandardOutputContent"].rstrip()
    if answer["Status"] != "Success":
        raise RedoxError(
            f"the setup of {host} ended with {answer['Status']}: {said}", hint=f"the full log is {LOG} on the host"
        )
    say(said or "done")
    return 0


def main(arguments: list[str]) -> int:
    """Apply."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.apply",
        description="Apply the setup of this clone to the running host; its training is not stopped.",
        epilog="Example: python -m infra.apply --dry-run | less",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the script for the host, and change nothing")
    return run(partial(apply, dry_run=parser.parse_args(arguments).dry_run))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
