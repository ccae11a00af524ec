# SPDX-License-Identifier: Apache-2.0
"""What reads the disks of users and guests has no rights, follows no header to other files, and writes within bounds."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nova_lite.worker import commands, qemu_img

_SIZE = 8 << 20


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base"
    path.write_bytes(b"B" * _SIZE)
    path.chmod(0o444)
    return path


@pytest.fixture
def disk(tmp_path: Path, base: Path) -> Path:
    """An overlay on the base, whose first byte its guest has written."""
    path = tmp_path / "disk"
    path.touch(mode=0o600)
    qemu_img.make_overlay(path, _SIZE, backing=base)
    commands.run(["qemu-io", "-c", "write -P 0x47 0 64k", str(path)], timeout_s=10)
    return path


def _rebased(disk: Path, other: Path) -> None:
    """As if the guest's QEMU, taken over, had named another file of the host in the header."""
    subprocess.run(["qemu-img", "rebase", "-u", "-F", "raw", "-b", str(other), str(disk)], check=True, timeout=30)


def _content(path: Path, disk_format: str, target: Path) -> bytes:
    subprocess.run(["qemu-img", "convert", "-f", disk_format, "-O", "raw", str(path), str(target)], check=True, timeout=30)
    return target.read_bytes()


def test_a_copy_has_the_content_of_overlay_and_base(disk: Path, base: Path, tmp_path: Path) -> None:
    qemu_img.convert(disk, tmp_path / "copy", formats=("qcow2", "qcow2"), size=_SIZE, timeout_s=30, backing=base)
    assert _content(tmp_path / "copy", "qcow2", tmp_path / "raw") == b"G" * (64 << 10) + b"B" * (_SIZE - (64 << 10))
    assert "backing" not in commands.run(["qemu-img", "info", str(tmp_path / "copy")], timeout_s=10)


def test_a_header_that_names_another_file_is_not_followed(disk: Path, base: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"S" * _SIZE)
    _rebased(disk, secret)
    qemu_img.convert(disk, tmp_path / "copy", formats=("qcow2", "raw"), size=_SIZE, timeout_s=30, backing=base)
    assert b"S" not in (tmp_path / "copy").read_bytes()


def test_a_disk_that_names_a_file_for_its_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/data", str(path), "4M"], check=True, timeout=30)
    with pytest.raises(commands.CommandFailed, match="another file|Permission denied"):
        qemu_img.virtual_size(path, "qcow2", has_backing=True)


def test_a_backing_file_that_the_caller_does_not_expect_is_refused(disk: Path) -> None:
    with pytest.raises(commands.CommandFailed, match="refers to another file"):
        qemu_img.virtual_size(disk, "qcow2")
    assert qemu_img.virtual_size(disk, "qcow2", has_backing=True) == _SIZE


def test_no_more_is_written_than_the_caller_says(disk: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(commands.CommandFailed):
        qemu_img.convert(disk, tmp_path / "copy", formats=("qcow2", "raw"), size=_SIZE // 2, timeout_s=30, backing=base)


def test_a_disk_grows_and_keeps_its_owner(disk: Path, base: Path) -> None:
    owner = disk.stat().st_uid
    qemu_img.resize(disk, 4 * _SIZE, backing=base)
    assert (qemu_img.virtual_size(disk, "qcow2", has_backing=True), disk.stat().st_uid) == (4 * _SIZE, owner)


@pytest.fixture
def spying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A qemu-img that says whose rights it has, and fails."""
    with tempfile.TemporaryDirectory() as programs:  # not below pytest's directory, through which root alone passes
        Path(programs).chmod(0o755)
        Path(programs, "qemu-img").write_text("#!/bin/sh\ngrep -E '^(Uid|CapEff)' /proc/self/status >&2; exit 1\n")
        Path(programs, "qemu-img").chmod(0o755)
        monkeypatch.setenv("PATH", programs, prepend=":")
        yield


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("run", [
    lambda disk, base: qemu_img.virtual_size(disk, "qcow2"),
    lambda disk, base: qemu_img.convert(disk, disk.with_name("copy"), formats=("qcow2", "raw"), size=1, timeout_s=30, backing=base),
    lambda disk, base: qemu_img.resize(disk, 2 * _SIZE, backing=base),
    lambda disk, base: qemu_img.make_overlay(disk, _SIZE, backing=base),
], ids=["virtual_size", "convert", "resize", "make_overlay"])
def test_qemu_img_has_no_rights(
    disk: Path, base: Path, spying: None, run: Callable[[Path, Path], object]
) -> None:
    with pytest.raises(commands.CommandFailed) as failed:
        run(disk, base)
    nobody = pwd.getpwnam("nobody").pw_uid
    assert f"Uid: {nobody} {nobody} {nobody} {nobody} CapEff: {0:016x}" in str(failed.value)
    assert disk.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_disk_that_a_killed_worker_left_to_that_user_is_taken_back(disk: Path, base: Path) -> None:
    os.chown(disk, pwd.getpwnam("nobody").pw_uid, -1)
    qemu_img.virtual_size(disk, "qcow2", has_backing=True)
    assert disk.stat().st_uid == 0
