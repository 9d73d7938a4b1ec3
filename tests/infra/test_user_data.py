"""User data fits, contains the files of its machine, and alone changes with an edited bring-up."""

import base64
import copy
import email
import io
import lzma
import tarfile
from pathlib import Path

import pytest

from infra import bring_up
from infra.bring_up import USER_DATA_LIMIT, MachineContext, user_data
from infra.settings import FILE, parse
from templates import VARIANTS, Templates, flat, synthesise

PLACEHOLDERS = 1_200  # bytes that names, addresses and the signed address of the signal take at most


def test_an_edited_bring_up_changes_the_user_data_alone(
    default: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bring_up, "_SCRIPT", bring_up._SCRIPT.replace("exec /usr", "sync\nexec /usr"))
    edited = synthesise(tmp_path, [])
    assert edited.storage == default.storage
    before, after = copy.deepcopy(default.training), copy.deepcopy(edited.training)
    old, new = (found["Resources"]["TrainingHost"]["Properties"].pop("UserData") for found in (before, after))
    assert old != new  # CloudFormation updates it in place
    assert before == after


@pytest.mark.parametrize("variant", VARIANTS)
def test_user_data_fits_and_contains_the_files(variants: dict[str, Templates], variant: str) -> None:
    text = FILE.read_text()
    for old, new in VARIANTS[variant]:
        text = text.replace(old, new)
    settings = parse(text)
    for kind in ("host", "worker"):
        machine = MachineContext(kind=kind, region="us-east-1", image="image")  # type: ignore[arg-type]
        data = user_data(settings, machine)
        assert len(data.encode()) + PLACEHOLDERS <= USER_DATA_LIMIT
        packed = base64.b85decode("".join(data.split('"""')[1].split()))
        with tarfile.open(fileobj=io.BytesIO(lzma.decompress(packed))) as archive:
            assert {entry.name for entry in archive} == set(bring_up.files(settings, machine.kind))
    assert "@{" not in "".join(content.decode() for content in bring_up.files(settings, "host").values())
    assert flat(variants[variant].training["Resources"]["TrainingHost"]["Properties"]["UserData"]).startswith("MIME")


def test_cloud_init_runs_the_set_up_at_every_boot_beside_its_own_modules() -> None:
    """A cloud-config with `cloud_final_modules` would replace the list, and the host's keys would not be printed.

    https://docs.cloud-init.io/en/latest/explanation/format.html lists the type; version 22.4 was tried.
    """
    data = user_data(parse(FILE.read_text()), MachineContext(kind="host", region="us-east-1", image="image"))
    parts = list(email.message_from_string(data).walk())
    assert [part.get_content_type() for part in parts] == ["text/x-shellscript-per-boot"]
    assert "modules" not in data.partition("#!")[0]
