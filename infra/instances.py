"""Cores and memory of an EC2 instance type, derived from its name."""

import re
from dataclasses import dataclass

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
