"""Logical ids that must never change."""

from __future__ import annotations

from aws_cdk import CfnResource
from constructs import Construct


def keep_logical_id(construct: Construct, logical_id: str) -> None:
    """Pin the logical id of the resource behind a construct against changes of the code and of the library.

    To CloudFormation, a new logical id is a new resource: an empty bucket, an empty volume, another host.
    """
    resource = construct.node.default_child
    if not isinstance(resource, CfnResource):
        raise TypeError(f"{construct.node.path} is not one resource")
    resource.override_logical_id(logical_id)
