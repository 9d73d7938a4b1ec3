"""User data is constant, fits, and fetches an archive that contains the files of its machine."""

import email
import gzip
import io
import tarfile
from pathlib import Path

import pytest

from infra import bring_up
from infra.bring_up import USER_DATA_LIMIT, archive, fetcher, user_data
from infra.deployed import Deployed
from infra.machine.contract import LOG
from infra.machine.fetch import LOG as FETCH_LOG
from infra.machine.fetch import unpack
from infra.settings import FILE, parse
from templates import VARIANTS, Templates, flat, synthesise

DEPLOYED = Deployed(bucket="checkpoints", repository="repository")
GIVEN = ("us-east-1", "checkpoints", "host")


def of_host(found: Templates) -> str:
    (data,) = [
        resource["Properties"]["LaunchTemplateData"]
        for name, resource in found.training["Resources"].items()
        if resource["Type"] == "AWS::EC2::LaunchTemplate" and name.startswith("Host")
    ]
    return flat(data["UserData"])


def test_an_edit_changes_no_template(default: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that `make deploy` replaces no launch template for it, let alone a host."""
    before = archive(parse(FILE.read_text()), "host", DEPLOYED)
    edits = [
        ("monthly_budget_usd = 2000", "monthly_budget_usd = 2000"),
        ("save_interval_s = 300", "save_interval_s = 600"),
        ('ssh_public_key = ""', 'ssh_public_key = "ssh-ed25519 AAAA me"'),
        ("nproc = 65536", "nproc = 32768"),
    ]
    text = FILE.read_text()
    for old, new in edits:
        text = text.replace(old, new)
    monkeypatch.setattr(bring_up, "HERE", bring_up.HERE)
    edited = synthesise(tmp_path, edits)
    assert (edited.storage, edited.training) == (default.storage, default.training)
    assert archive(parse(text), "host", DEPLOYED) != before


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "elsewhere"])
def test_user_data_is_the_same_for_every_deployment(variants: dict[str, Templates], variant: str) -> None:
    assert of_host(variants[variant]) == of_host(variants["default"])
    assert of_host(variants["elsewhere"]).replace("eu-central-1", "us-east-1") == of_host(variants["default"])


def test_user_data_is_run_by_cloud_init_at_every_boot_and_changes_no_list_of_its_modules() -> None:
    """A part of user data replaces the list of final modules, `keys_to_console` with it; a type of its own does not.

    https://docs.cloud-init.io/en/latest/explanation/format.html: text/x-shellscript-per-boot
    """
    message = email.message_from_string(user_data(*GIVEN))
    assert message.get_content_type() == "text/x-shellscript-per-boot"
    assert message.get_payload() == fetcher(*GIVEN)
    assert "cloud_final_modules" not in user_data(*GIVEN)
    assert len(user_data(*GIVEN).encode()) < USER_DATA_LIMIT
    assert LOG == FETCH_LOG


def test_the_program_needs_nothing_but_python(tmp_path: Path) -> None:
    program = fetcher(*GIVEN)
    assert program.startswith("#!/usr/bin/python3\n")
    assert "from infra" not in program
    compile(program, str(tmp_path), "exec")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_archive_contains_the_files_always_the_same(variant: str, tmp_path: Path) -> None:
    text = FILE.read_text()
    for old, new in VARIANTS[variant]:
        text = text.replace(old, new)
    settings = parse(text)
    for kind in ("host", "worker"):
        wanted = bring_up.files(settings, kind, DEPLOYED)  # type: ignore[arg-type]
        packed = archive(settings, kind, DEPLOYED)  # type: ignore[arg-type]
        assert packed == archive(settings, kind, DEPLOYED)  # type: ignore[arg-type]
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as found:
            assert {entry.name for entry in found} == set(wanted)
        unpack(packed, tmp_path / kind)
        for name, content in wanted.items():
            path = tmp_path / kind / name
            assert path.read_bytes() == content
            assert bool(path.stat().st_mode & 0o100) is content.startswith(b"#!")
        assert "@{" not in "".join(content.decode() for content in wanted.values())
