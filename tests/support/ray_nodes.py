"""A Ray cluster of several nodes on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ray.cluster_utils import Cluster

from redox_balancer.impala.cluster import RAY_ENVIRONMENT


def node(cores: int) -> dict[str, Any]:
    """Settings of a node."""
    return {"num_cpus": cores, "object_store_memory": 100_000_000}


@contextmanager
def ray_nodes(cores: int) -> Iterator[Cluster]:
    """A cluster of one node, which offers the resource `learner`."""
    with mock.patch.dict("os.environ", RAY_ENVIRONMENT):
        head = node(cores) | {"resources": {"learner": 1}, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield cluster
        finally:
            cluster.shutdown()
