"""Images: waiting until AWS has stored them, and choosing the image to restore."""

import pytest
from botocore.stub import Stubber

from infra.settings import load
from ops.aws import backups
from ops.session import Session
from redox_balancer.errors import RedoxError
from stubbed_aws import stubbable_client

IMAGE = "ami-0123456789abcdef0"


def test_an_image_is_waited_for_until_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto stores at once."""
    ec2 = stubbable_client("ec2")
    monkeypatch.setattr(backups, "POLL_S", 0)
    with Stubber(ec2) as stub:
        for state in ("", "pending", "available"):  # at first AWS may not know it
            images = [{"ImageId": IMAGE, "State": state}] if state else []
            stub.add_response("describe_images", {"Images": images})
        backups._wait(IMAGE, ec2)
        stub.assert_no_pending_responses()


def test_an_image_that_cannot_be_stored_is_an_error() -> None:
    ec2, reason = stubbable_client("ec2"), {"Message": "the root disk is gone"}
    with Stubber(ec2) as stub:
        stub.add_response("describe_images", {"Images": [{"State": "failed", "StateReason": reason}]})
        with pytest.raises(RedoxError, match=f"{IMAGE} is failed: the root disk is gone"):
            backups._wait(IMAGE, ec2)


def test_the_newest_available_image_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's images are always available."""
    ec2, session = stubbable_client("ec2"), Session(load())
    monkeypatch.setattr(session, "client", lambda _: ec2)
    made = [("ami-00000000000000001", "available", 1), ("ami-00000000000000002", "available", 2),
            ("ami-00000000000000003", "pending", 3)]  # fmt: skip
    images = [
        {"ImageId": name, "State": state, "CreationDate": f"2026-11-0{day}T03:00:00.000Z"}
        for name, state, day in made
    ]
    with Stubber(ec2) as stub:
        stub.add_response("describe_images", {"Images": images})
        assert backups.image_to_restore(session, "").image_id == "ami-00000000000000002"
        stub.add_response("describe_images", {"Images": images[2:]})
        with pytest.raises(RedoxError, match="ami-00000000000000003 is pending"):
            backups.image_to_restore(session, "ami-00000000000000003")
    with pytest.raises(RedoxError, match="newest is not an AMI id"):
        backups.image_to_restore(session, "newest")
