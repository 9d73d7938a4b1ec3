"""Takes over the run that was active from the bucket: `python3 -m infra.machine.record`.

The record is the unit's environment file. A host that replaces another one has no other memory.
"""

import sys

from infra.machine import contract
from infra.machine.aws import Aws


def main() -> int:
    """Write the environment file of the active run, or remove it if none is."""
    found = Aws.of_machine().get(contract.RUN_RECORD)
    path = contract.ETC / contract.RUN_ENV
    if found and found.content:
        path.write_bytes(found.content)
    else:
        path.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
