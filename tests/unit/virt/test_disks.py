# SPDX-License-Identifier: Apache-2.0
"""Disk files as the tools make them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from nova_lite.compute.images import Base
from nova_lite.compute.virt.libvirt.storage import config_drive, disks
from nova_lite.values.instance_metadata import to_bytes, to_text
from nova_lite.worker import commands


@pytest.fixture
def base(tmp_path: Path) -> Base:
    path = tmp_path / "base"
    path.write_bytes(bytes(1 << 20))
    return Base(path, 1 << 20)


def inspect(path: Path) -> dict[str, object]:
    done = subprocess.run(
        ["qemu-img", "info", "--output=json", str(path)], capture_output=True, check=True, timeout=30
    )
    return dict(json.loads(done.stdout))


def beginning(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4096)


def test_a_root_disk_is_an_overlay_grown_to_the_flavors_size(base: Base, tmp_path: Path) -> None:
    disks.make_root(base, tmp_path / "disk", size_mb=2048)
    found = inspect(tmp_path / "disk")
    assert (found["format"], found["virtual-size"], found["backing-filename"]) == ("qcow2", 2 << 30, str(base.path))


def test_a_root_disk_of_size_0_is_as_large_as_the_image(base: Base, tmp_path: Path) -> None:
    disks.make_root(base, tmp_path / "disk", size_mb=0)
    assert inspect(tmp_path / "disk")["virtual-size"] == base.virtual_size


def test_a_disk_that_is_there_is_kept(base: Base, tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("precious")
    disks.make_root(base, tmp_path / "disk", size_mb=2048)
    assert (tmp_path / "disk").read_text() == "precious"


def test_ephemeral_and_swap_disks_carry_their_labels(tmp_path: Path) -> None:
    disks.make_ephemeral(tmp_path / "eph", size_mb=1024, label="ephemeral0")
    disks.make_swap(tmp_path / "swap", size_mb=16)
    assert b"ephemeral0" in beginning(tmp_path / "eph")
    assert b"swap0" in beginning(tmp_path / "swap")


def test_a_tool_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(commands.CommandFailed):
        disks.make_ephemeral(tmp_path / "eph", size_mb=0, label="ephemeral0")
    with pytest.raises(FileNotFoundError):
        disks.make_root(Base(tmp_path / "missing", 1), tmp_path / "disk", size_mb=1024)
    assert list(tmp_path.iterdir()) == []


def test_the_config_drive_holds_the_documents_byte_for_byte(tmp_path: Path) -> None:
    documents = {"openstack/latest/user_data": to_text(bytes(range(256))), "ec2/latest/meta-data.json": "{}\n",
                 "openstack/2018-08-27/Mixed-Case_name.JSON": "x" * 5000}
    config_drive.make(documents, tmp_path / "disk.config")
    for name, text in documents.items():
        done = subprocess.run(
            ["isoinfo", "-R", "-i", str(tmp_path / "disk.config"), "-x", f"/{name}"], capture_output=True, check=True,
            timeout=30,
        )
        assert done.stdout == to_bytes(text)


def test_the_config_drive_has_the_label_that_guests_look_for(tmp_path: Path) -> None:
    config_drive.make({"a": "b"}, tmp_path / "disk.config")
    assert (tmp_path / "disk.config").read_bytes()[32808:32840].strip() == b"config-2"


def test_a_document_cannot_leave_the_config_drive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not below"):
        config_drive.make({"../../evil": "x"}, tmp_path / "disk.config")
    assert list(tmp_path.iterdir()) == []
