"""`make destroy`: removes the host, keeps everything that cannot be recreated, and reports its cost."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from infra.commands import require_confirmation, run, say, without_snapshot
from infra.deployed import cdk, client, find
from infra.group import end
from infra.images import take_before
from infra.names import TRAINING
from infra.retained import lines, retained
from infra.settings import Settings
from redox_balancer.errors import RedoxError

ATTEMPTS = 2  # a network interface may be deleted a moment too late for its subnet


def destroy(settings: Settings, instance: str, options: Sequence[str] = (), *, snapshot: bool = True) -> int:
    """End the host and destroy its stack, and report the retained resources.

    A running host is confirmed by its id, `instance`, empty prompts for it; an image of it is taken if `snapshot`.
    `options` are further ones of `cdk destroy`.
    """
    there = find(settings)
    if there is None or not there.status:
        raise RedoxError(f"there is no stack {TRAINING}" if there else "nothing is deployed", hint="make deploy")
    if host := there.instance_id:
        say(f"this ends host {host} and deletes {TRAINING}; a training saves first, its bucket is kept")
        require_confirmation(instance, host, f"make destroy INSTANCE={host}")
    if snapshot:
        take_before(settings, there, partial(client, settings))
    if there.wanted is not None:  # a host that its stack deletes gets less time to save
        end(settings, partial(client, settings), there)
    if not any(cdk(["destroy", TRAINING, "--force", *options]) == 0 for _ in range(ATTEMPTS)):
        raise RedoxError(
            f"{TRAINING} was not deleted", hint="run make destroy again; its events in the console show what is left"
        )
    say(f"{TRAINING} was deleted; retained resources:")
    for line in lines(settings, retained(settings, there, partial(client, settings))):
        say(f"  {line}")
    return 0


def main(arguments: list[str]) -> int:
    """Destroy."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.destroy",
        description="Delete the host's stack; bucket, image repository and images are retained. "
        "Everything that is not an option here goes to `cdk destroy`.",
        epilog="Example: python -m infra.destroy --instance i-0123456789abcdef0",
    )
    parser.add_argument("--instance", default="", help="id of the host; prompted for if not given")
    without_snapshot(parser)
    asked, options = parser.parse_known_args(arguments)
    return run(partial(destroy, instance=asked.instance, options=options, snapshot=asked.snapshot))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
