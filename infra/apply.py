"""`make apply`: applies the setup of this clone to hosts, also to a running one, without stopping its training."""

import argparse
import sys
from functools import partial

from infra.bring_up import LIBRARY, files, key, upload
from infra.commands import run, say, without_snapshot
from infra.deployed import client, find, run_on_host
from infra.images import take_before
from infra.machine.contract import LOG
from infra.settings import Settings
from redox_balancer.errors import RedoxError

TIMEOUT_S = 1_800
RUNNING = ("Pending", "InProgress", "Delayed")


def apply(settings: Settings, *, dry_run: bool, snapshot: bool = True) -> int:
    """Upload the setup, have the host run it through Systems Manager, and wait until it has finished."""
    there = find(settings)
    if there is None:
        raise RedoxError("nothing is deployed", hint="make deploy")
    host = there.instance_id
    if dry_run:
        say(f"would upload s3://{there.bucket}/{key('host')}" + (f" and have {host} run it" if host else ""))
        found = files(settings, "host", there)
        sys.stdout.write("".join(f"{len(content):7,} /{path}\n" for path, content in found.items()))
        return 0
    if snapshot:
        take_before(settings, there, partial(client, settings))
    upload(settings, there, client(settings, "s3"))
    if host is None:
        say("the setup is in the bucket; the next host starts with it")
        return 0
    commands = [f"/{LIBRARY}/fetch apply || {{ tail -n 20 {LOG}; exit 1; }}", f"tail -n 1 {LOG}"]
    say(f"sending it to {host}, and waiting for it to finish")
    ssm, script = client(settings, "ssm"), ["set -e", *commands]
    answer = run_on_host(ssm, host, script, "make apply", timeout_s=TIMEOUT_S)
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
        description="Apply the setup of this clone to hosts, also to a running one; its training is not stopped.",
        epilog="Example: python -m infra.apply --dry-run | less",
    )
    parser.add_argument("--dry-run", action="store_true", help="list the files of a host, and change nothing")
    without_snapshot(parser)
    return run(partial(apply, **vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
