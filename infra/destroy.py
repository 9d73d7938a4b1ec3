"""`make destroy`: removes the host, keeps everything that cannot be recreated, and reports its cost."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from botocore.exceptions import ClientError

from infra.commands import require_confirmation, run, say
from infra.deployed import cdk, client, find
from infra.names import TRAINING
from infra.retained import lines, retained
from infra.settings import Settings
from infra.shutdown import shut_down
from redox_balancer.errors import RedoxError

ATTEMPTS = 2  # a network interface may be deleted a moment too late for its subnet
# An instance that has already been terminated, by AWS or by a person, has no protection to lift.
ENDED = ("InvalidInstanceID.NotFound", "IncorrectInstanceState")


def destroy(settings: Settings, instance: str, options: Sequence[str] = ()) -> int:
    """Stop the host and destroy its stack after its id was confirmed, and report the retained resources.

    A stack without a host, left by a failed deployment or an earlier attempt, needs no confirmation. `instance` is
    the id as confirmation, empty prompts for it; `options` are further ones of `cdk destroy`.
    """
    there = find(settings)
    if there is None:
        raise RedoxError("nothing is deployed", hint="make deploy")
    if there.instance_id or not there.status:
        host = there.host()
        say(f"this deletes host {host} and its stack {TRAINING}; a training saves first, its checkpoints are kept")
        require_confirmation(instance, host, f"make destroy INSTANCE={host}")
        # CloudFormation would detach the volume first, under the file system and the training that writes to it.
        shut_down(settings, client(settings, "ec2"), host, say)
        _lift_protection(settings, host)
    if not any(cdk(["destroy", TRAINING, "--force", *options]) == 0 for _ in range(ATTEMPTS)):
        raise RedoxError(
            f"{TRAINING} was not deleted", hint="run make destroy again; its events in the console show what is left"
        )
    say("the host was deleted; retained resources:")
    for line in lines(settings, retained(settings, there, partial(client, settings))):
        say(f"  {line}")
    return 0


def _lift_protection(settings: Settings, host: str) -> None:
    try:
        client(settings, "ec2").modify_instance_attribute(InstanceId=host, DisableApiTermination={"Value": False})
    except ClientError as error:
        if error.response["Error"]["Code"] not in ENDED:
            raise


def main(arguments: list[str]) -> int:
    """Destroy."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.destroy",
        description="Delete the host; bucket, volume, image repository and backups are retained. "
        "Everything that is not an option here goes to `cdk destroy`.",
        epilog="Example: python -m infra.destroy --instance i-0123456789abcdef0",
    )
    parser.add_argument("--instance", default="", help="id of the host; prompted for if not given")
    asked, options = parser.parse_known_args(arguments)
    return run(partial(destroy, instance=asked.instance, options=options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
